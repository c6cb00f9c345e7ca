"""The HTTP side: an OpenAI-compatible API for many users, over the same workspaces as the daemon. Needs the extra
`gateway`, and nothing of the daemon imports it."""
