"""What the client needs of a way to a server.

Which ways there are: `process.py`, `sockets.py`, `websocket.py`, `in_process.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from appserver.transport.framing import Line


class Link(Protocol):
    """An open way to a server: lines come in, bytes go out."""

    process_id: int | None
    """The server's process, if it is known and not ours."""

    async def run(self) -> None:
        """Do what the link needs done while it is open. Returns when nothing more will be received."""

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete; None: the server sends no more."""

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""

    async def end_input(self) -> None:
        """Send nothing more: the server reads the end of its input. Twice does no harm."""

    async def end(self) -> None:
        """Let go of the server, whose input has ended or is about to: wait for its end if it is ours. Bounded.

        Not cut short by cancellation.
        """

    async def why_ended(self, reason: str) -> str:
        """Say in one sentence what has become of the server. `reason`: a verb that the reader found."""


class Attachment(Protocol):
    """A way to a server that can be opened, again after the server has been lost."""

    async def open(self) -> Link:
        """Open it. Raises ServerGone if that is not possible."""
