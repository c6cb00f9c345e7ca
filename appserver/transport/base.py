"""What a transport does, and what accepts the clients that come over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from appserver.transport.framing import Line


class TransportClosed(Exception):
    """The other end does not take bytes any more."""


class Transport(Protocol):
    """How lines come in and bytes go out."""

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""

    def peer_closed(self) -> bool:
        """Whether the reader of our output has gone."""

    def close(self) -> None:
        """Let go of both directions. Doing it twice does no harm."""


class Listener(Protocol):
    """Accepts clients."""

    async def accept(self) -> Transport | None:
        """Wait for the next client. None: no other can come."""
