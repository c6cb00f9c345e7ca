"""A server that runs already and listens on a socket.

Knows nothing of what is spoken. The transports are those of the server; they are imported when one is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from appserver.client.errors import ServerGone
from appserver.errors import AppServerError

if TYPE_CHECKING:
    from appserver.client.process import StrPath
    from appserver.transport.base import Transport
    from appserver.transport.framing import Line

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""Beyond this a line is no message: nothing that the server sends comes near it."""

LAST_INPUT_SECONDS: Final = 2.0
"""What the last lines get to be sent. The server goes on without us."""


@dataclass(frozen=True)
class UnixSocket:
    """Join a server that listens on a unix socket (docs/sockets.md).

    path: of the socket; that of the home directory if left out. home: the home directory; that of the environment if
    left out.
    """

    path: StrPath | None = None
    home: StrPath | None = None

    async def open(self) -> TransportLink:
        """Connect. Raises ServerGone if no server of the same user listens there."""
        from appserver.settings.load import home_directory
        from appserver.transport.sockets import LineTransport, SocketStream
        from appserver.transport.unix_path import connect, default_path

        home = os.fspath(self.home) if self.home is not None else home_directory(os.environ)
        path = os.fspath(self.path) if self.path is not None else default_path(home)
        try:
            connected = await anyio.to_thread.run_sync(connect, path)
        except OSError as exc:
            raise ServerGone(f"{path}: no app-server can be reached: {exc.strerror or exc}") from None
        except AppServerError as exc:
            raise ServerGone(exc.message) from None
        return TransportLink(LineTransport(SocketStream(connected), MAX_LINE_BYTES))


class TransportLink:
    """A link over a transport (`attachment.Link`)."""

    process_id: int | None = None

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._input_ended = anyio.Event()

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete; None: the server sends no more."""
        return await self._transport.receive()

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""
        await self._transport.send(data)

    async def run(self) -> None:
        """Do nothing: the end of the stream says when no more comes."""
        await anyio.sleep_forever()

    async def end_input(self) -> None:
        """Send nothing more."""
        self._input_ended.set()

    async def end(self) -> None:
        """Close the connection once the last lines are sent."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(LAST_INPUT_SECONDS):
                await self._input_ended.wait()
            self._transport.close()

    async def why_ended(self, reason: str) -> str:
        """Say in one sentence what has become of the server: more is not known than that it is gone."""
        return f"The app-server {reason}" if reason != "has ended" else "The connection to the app-server was lost"
