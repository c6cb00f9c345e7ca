"""What accepts the clients that come over a transport. Types alone: import it under TYPE_CHECKING."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from appserver.transport.base import Transport


class Arrival(Protocol):
    """A client that has connected and may have to show who it is before it is served."""

    async def open(self) -> Transport | None:
        """Do what comes before the first message. None: the client was refused, or has left."""

    def close(self) -> None:
        """Let go of it, unless `open` has returned a transport."""


class Listener(Protocol):
    """Accepts clients."""

    async def accept(self) -> Arrival | None:
        """Wait for the next client. None: no other can come."""

    def withdraw(self) -> None:
        """Let no further client find the listener, if it can be hidden. Those that have connected are accepted."""

    def close(self) -> None:
        """Accept no more. Doing it twice does no harm."""
