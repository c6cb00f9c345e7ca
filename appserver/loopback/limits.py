"""What a client may use of the process that serves it. Pure.

Every user of the machine can connect to a port on loopback, and so can every page in a browser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limits:
    """The limits of one client; `connections`: of all clients together."""

    connections: int
    """Served at once, for each listening socket. The next one waits, unless `replaces_idle`."""
    replaces_idle: bool
    """If all slots are taken, close the connection that has waited longest for a request."""
    head_bytes: int
    """The request line and the headers; beyond this: 431."""
    body_bytes: int
    """Beyond this: 413."""
    read_bytes: int
    """Read from a socket at a time."""
    receive_seconds: float
    """For a whole request to arrive, first byte to last, and between requests."""
    send_seconds: float
    """For a client to take what one write sends."""


CALLBACK: Final = Limits(
    connections=32,  # a browser opens two or three; every descriptor is one that a turn may need
    replaces_idle=True,  # so that the browser gets in, however many others hold a connection open
    head_bytes=16 * 1024,  # a code and a state; and the cookies that other servers have set for localhost
    body_bytes=1024,  # a redirect has none
    read_bytes=4 * 1024,
    receive_seconds=5.0,  # a browser sends its request at once
    send_seconds=5.0,  # a page fits into the socket's buffer
)
"""For the redirect of a login: one GET, from a browser on this machine."""
