"""An OAuth 2.0 provider (RFC 6749, 7636, 7009, 8414, 9207; as RFC 9700 would have it), for GPT Actions and others.

`request.py` says what may be asked, `store.py` keeps what was granted, `pages.py` is what a person sees, and
`endpoints.py` joins them. No library's server side is used: those of Authlib and oauthlib call their storage
synchronously, and ours is a database that is awaited.
"""
