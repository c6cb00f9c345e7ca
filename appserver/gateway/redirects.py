"""Redirect URIs of OAuth clients: which may be registered. A request must name one exactly (RFC 9700, section 2.1)."""

from __future__ import annotations

from urllib.parse import urlsplit

from appserver.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def check_redirect_uri(uri: str) -> None:
    """Raise ConfigError unless a URI may be registered: https, or http on this machine; no fragment, no user."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("A redirect URI is no URI") from None
    local = parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")
    if not (parts.scheme == "https" or local) or not host or port == 0:
        raise ConfigError("A redirect URI begins with https://, or with http:// on this machine")
    if parts.fragment or "#" in uri or parts.username is not None or parts.password is not None:
        raise ConfigError("A redirect URI has neither a fragment nor a user")
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri:
        raise ConfigError("A redirect URI is printable ASCII, without spaces")
