"""Requests to the OAuth issuer (RFC 6749, 7636, 8628): codes, tokens, device login, revocation."""
