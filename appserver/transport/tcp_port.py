"""A TCP port on one address. Imports no event loop."""

from __future__ import annotations

import socket

from appserver.errors import ListenError

BACKLOG = 1024


def bind_port(host: str, port: int) -> socket.socket:
    """Listen at an IP address. Port 0: any that is free. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ListenError(f"ws://{_shown(host)}:{port}: cannot listen: {exc.strerror}") from None


def url_of(listening: socket.socket) -> str:
    """Return the URL that clients connect to."""
    host, port, *_ = listening.getsockname()
    return f"ws://{_shown(host)}:{port}"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
