"""Ways to a server by their URLs, as `--listen` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.client.sockets import UnixSocket
from appserver.client.websocket import WebSocket

if TYPE_CHECKING:
    from appserver.client.attachment import Attachment


def attachment_of(url: str) -> Attachment:
    """Return the way to the server that a URL names. Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "unix":
        return UnixSocket(rest or None)
    if separator and scheme == "ws":
        return WebSocket(url)
    raise ValueError(f"{url}: servers are reached at unix://, unix://PATH and ws://HOST:PORT")
