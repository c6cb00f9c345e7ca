"""An in-process pair of transports: for tests, and for an application that embeds the server in its own process.

Speaks lines like stdio does, without descriptors. What is sent is taken in order; closing one end is EOF at the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio

from appserver.transport.base import TransportClosed
from appserver.transport.framing import DEFAULT_MAX_LINE_BYTES, LineSplitter

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from appserver.transport.base import Ending
    from appserver.transport.framing import Line

BUFFERED_WRITES = 64
"""Writes that one end may be ahead of the other's reads."""


class MemoryTransport:
    """One end of a pair."""

    def __init__(
        self,
        incoming: MemoryObjectReceiveStream[bytes],
        outgoing: MemoryObjectSendStream[bytes],
        max_line_bytes: int,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._splitter = LineSplitter(max_line_bytes)

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""
        try:
            return self._splitter.feed(await self._incoming.receive())
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return self._splitter.finish() or None

    async def send(self, data: bytes) -> None:
        """Write all of data, waiting while the reader is slow. Raises TransportClosed."""
        try:
            await self._outgoing.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as exc:
            raise TransportClosed from exc

    async def open(self) -> MemoryTransport:
        """Return itself: nothing comes before the first message."""
        return self

    async def finish(self, ending: Ending) -> None:
        """Do nothing: the end of the stream says all that can be said."""

    def peer_closed(self) -> bool:
        """Whether the reader of our output has gone, found without writing."""
        return self._outgoing.statistics().open_receive_streams == 0

    def close_sending(self) -> None:
        """End our output; what the other end still sends can be received."""
        self._outgoing.close()

    def close(self) -> None:
        self._incoming.close()
        self._outgoing.close()


def memory_pair(max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> tuple[MemoryTransport, MemoryTransport]:
    to_left, from_right = anyio.create_memory_object_stream[bytes](BUFFERED_WRITES)
    to_right, from_left = anyio.create_memory_object_stream[bytes](BUFFERED_WRITES)
    return MemoryTransport(from_right, to_right, max_line_bytes), MemoryTransport(from_left, to_left, max_line_bytes)


class MemoryListener:
    """Accepts clients of the same process."""

    def __init__(self, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._arriving, self._arrived = anyio.create_memory_object_stream[MemoryTransport](math.inf)

    def connect(self) -> MemoryTransport:
        """Connect a client and return its end."""
        ours, theirs = memory_pair(self._max_line_bytes)
        self._arriving.send_nowait(theirs)
        return ours

    async def accept(self) -> MemoryTransport | None:
        """Wait for the next client. None: no other can come."""
        try:
            return await self._arrived.receive()
        except anyio.EndOfStream:
            self._arrived.close()
            return None

    def withdraw(self) -> None:
        """Do nothing: there is no other way to a server than this listener."""

    def close(self) -> None:
        """Take no further client. Those that have connected are still accepted."""
        self._arriving.close()
