"""Accepting clients at a unix socket. Each speaks lines of JSON or, as the reference's clients do, WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.transport.accepting import accept
from appserver.transport.refusals import Refusals
from appserver.transport.sockets import LineTransport, SocketStream
from appserver.transport.unix_path import is_same_user

if TYPE_CHECKING:
    from appserver.transport.base import Transport
    from appserver.transport.unix_path import Bound

HTTP = b"GET "
"""How a client begins that speaks WebSocket. No line of JSON does."""


class UnixListener:
    """Accepts clients at a unix socket."""

    def __init__(self, bound: Bound, max_line_bytes: int) -> None:
        bound.socket.setblocking(False)
        self._bound = bound
        self._max_line_bytes = max_line_bytes
        self._refusals = Refusals(f"unix://{bound.path or ''}")

    async def accept(self) -> UnixArrival | None:
        """Wait for the next client of our own user. None: no other can come."""
        while (connected := await accept(self._bound.socket)) is not None:
            if is_same_user(connected):
                return UnixArrival(SocketStream(connected), self._refusals, self._max_line_bytes)
            self._refusals.note("it runs as another user")
            connected.close()
        return None

    def withdraw(self) -> None:
        """Let no further client find the socket; those that have connected are still accepted."""
        self._bound.release()

    def close(self) -> None:
        """Accept no more."""
        self.withdraw()
        self._bound.socket.close()


class UnixArrival:
    """A client that has connected and said nothing yet."""

    def __init__(self, stream: SocketStream, refusals: Refusals, max_line_bytes: int) -> None:
        self._stream = stream
        self._refusals = refusals
        self._max_line_bytes = max_line_bytes
        self.close = stream.close

    async def open(self) -> Transport | None:
        """Wait for the first bytes, which tell what the client speaks."""
        first = await self._stream.receive()
        while first and len(first) < len(HTTP) and HTTP.startswith(first):
            chunk = await self._stream.receive()
            if not chunk:
                return None
            first += chunk
        if first.startswith(HTTP):
            return await self._open_websocket(first)
        return LineTransport(self._stream, self._max_line_bytes, first) if first else None

    async def _open_websocket(self, first: bytes) -> Transport | None:
        try:
            from appserver.transport.upgrade import Policy, upgrade  # late: an extra, and few clients want it
        except ImportError:
            self._refusals.note("it speaks WebSocket, which needs the extra: pip install 'appserverd[ws]'")
            return None
        return await upgrade(self._stream, Policy(access=None), self._refusals, self._max_line_bytes, first)
