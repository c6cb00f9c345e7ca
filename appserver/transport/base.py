"""What a transport does."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from appserver.transport.framing import Line


class TransportClosed(Exception):
    """The other end does not take bytes any more."""


class Ending(Enum):
    """Why we end a connection."""

    LEFT = auto()
    """The client has ended it, and has been told all there is."""

    STOPPED = auto()
    """The server ends."""

    TOO_SLOW = auto()
    """The client does not read what it has asked for."""

    REVOKED = auto()
    """The client may not be served any longer."""


class Transport(Protocol):
    """How lines come in and bytes go out."""

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""

    def peer_closed(self) -> bool:
        """Whether the reader of our output has gone."""

    async def finish(self, ending: Ending) -> None:
        """Tell the other end, where the transport has a way to, that no more is sent, and why."""

    def close(self) -> None:
        """Let go of both directions. Doing it twice does no harm."""
