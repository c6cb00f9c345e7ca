"""A server in this process: no subprocess, no pipe. For tests, and for applications that may not start processes.

Imports the server when it is opened, and not before: an application with a subprocess needs none of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from appserver.client.errors import ServerGone
from appserver.client.sockets import TransportLink
from appserver.errors import AppServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appserver.client.process import StrPath
    from appserver.server.serve import Server
    from appserver.transport.memory import MemoryTransport

END_SECONDS: Final = 55.0
"""As for a process: the server winds down within 4 seconds, but for an answer that an issuer owes it."""


@dataclass(frozen=True)
class InProcess:
    """Run a server in this process and speak with it over memory.

    home: its home directory. config: `key=value` overrides of config.toml. env: variables to add to ours, or to take
    away (None). It shares the event loop; a crash of the process takes both with it, so there is nothing to restart.
    """

    home: StrPath | None = None
    config: Sequence[str] = ()
    env: Mapping[str, str | None] | None = None

    async def open(self) -> InProcessLink:
        """Make the server. Raises ServerGone if its configuration cannot be used."""
        from appserver.server.serve import Server
        from appserver.settings import load_settings
        from appserver.transport.memory import memory_pair

        home = {} if self.home is None else {"APPSERVER_HOME": os.fspath(self.home)}
        merged = {**os.environ, **(self.env or {}), **home}
        environ = {name: value for name, value in merged.items() if value is not None}
        try:
            settings = load_settings(environ, self.config, lenient=True)
            server = Server(settings)
            server.check_configuration(lenient=True)
        except AppServerError as exc:
            raise ServerGone(f"The app-server could not be started: {exc.message}") from None
        return InProcessLink(server, *memory_pair(settings.max_line_bytes))


class InProcessLink(TransportLink):
    """The client's end of a pair in memory, and the server at the other end."""

    def __init__(self, server: Server, ours: MemoryTransport, theirs: MemoryTransport) -> None:
        super().__init__(ours)
        self._server = server
        self._ours, self._theirs = ours, theirs
        self._ended = anyio.Event()

    async def run(self) -> None:
        """Serve until the client's input has ended; what the server has said last is read all the same."""
        try:
            await self._server.serve(self._server.connection(bounded=False), self._theirs)
        finally:
            self._theirs.close()
            self._ended.set()
        await anyio.sleep_forever()  # the end of what it has said ends the reading

    async def end_input(self) -> None:
        """Send nothing more: the server reads the end of its input, and ends."""
        await super().end_input()
        self._ours.close_sending()

    async def end(self) -> None:
        """Wait for the server to end."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(END_SECONDS):
                await self._ended.wait()
            self._ours.close()
