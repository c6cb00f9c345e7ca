"""A connected stream socket: bytes in and out, and the lines that travel on it.

Readiness comes from the event loop, as for stdio; nothing is buffered beyond one read. Knows neither how the socket was
accepted nor who is on the other end.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from anyio import ClosedResourceError, notify_closing, wait_readable, wait_writable

from appserver.transport.base import TransportClosed
from appserver.transport.framing import LineSplitter

if TYPE_CHECKING:
    from appserver.transport.base import Ending
    from appserver.transport.framing import Line

CHUNK_BYTES = 64 * 1024
"""One read."""


class SocketStream:
    """Bytes over a connected socket."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self.sent = 0
        """Bytes that the system has taken so far: they go on only as the other end reads."""

    async def receive(self) -> bytes:
        """Wait for bytes and return them; none at the end of the stream, or once the connection is broken."""
        while self._socket.fileno() >= 0:
            try:
                await wait_readable(self._socket)
                return self._socket.recv(CHUNK_BYTES)
            except BlockingIOError:
                continue
            except (OSError, ClosedResourceError):  # reset by the other end, or closed here
                break
        return b""

    async def send(self, data: bytes) -> None:
        """Write all of data, waiting while the reader is slow. Raises TransportClosed."""
        view = memoryview(data)
        while view:
            try:
                taken = self._socket.send(view)
                self.sent += taken
                view = view[taken:]
            except BlockingIOError:
                await self._writable()
            except OSError as exc:
                raise TransportClosed from exc

    def peer_closed(self) -> bool:
        """Whether the connection is closed here, or broken. A reader that has gone is seen when it is written to."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Close the socket. Doing it twice does no harm."""
        if self._socket.fileno() >= 0:
            notify_closing(self._socket)
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # also for a process that has inherited it
            self._socket.close()

    async def _writable(self) -> None:
        try:
            await wait_writable(self._socket)
        except (OSError, ClosedResourceError) as exc:
            raise TransportClosed from exc


class LineTransport:
    """Lines in, bytes out, over a socket."""

    def __init__(self, stream: SocketStream, max_line_bytes: int, first: bytes = b"") -> None:
        """`first`: what has been received already."""
        self._stream = stream
        self._splitter = LineSplitter(max_line_bytes)
        self._first = first
        self.send = stream.send
        self.peer_closed = stream.peer_closed
        self.close = stream.close

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""
        chunk, self._first = self._first or await self._stream.receive(), b""
        return self._splitter.feed(chunk) if chunk else self._splitter.finish() or None

    async def finish(self, ending: Ending) -> None:
        """Do nothing: the end of the stream says all that can be said."""
