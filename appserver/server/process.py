"""What can end a serving process: its only client, a signal, the end of its parent, and having nothing to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from appserver.memory import collect_as_usual
from appserver.parent_process import ParentProcess
from appserver.signals import ending_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from appserver.server.connection import Connection
    from appserver.server.serve import Server
    from appserver.transport.base import Transport
    from appserver.transport.listener import Listener

WATCH_SECONDS = 1.0
"""How often to look whether the client is still there, and whether there is something to do."""


class Standard:
    """The client on stdin and stdout, beside those that come to listeners."""

    def __init__(self, connection: Connection, transport: Transport, *, ends_process: bool) -> None:
        """`ends_process`: whether everything ends when this client leaves."""
        self.connection = connection
        self.transport = transport
        self.ends_process = ends_process


class Process:
    """Serves the clients of a process until it is to end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parent = ParentProcess()  # now: it may end while the event loop is being imported
        self._exit_code = 0

    async def serve(self, connection: Connection, transport: Transport) -> int:
        """Serve the one client of this process; return the exit code: 0, or 128 plus a signal's number."""
        return await self._until_the_end(lambda: self._server.serve(connection, transport), transport)

    async def listen(self, listeners: Sequence[Listener], standard: Standard | None, idle_seconds: float | None) -> int:
        """Serve the clients that come to the listeners, and the one on stdio if there is one. Returns the exit code.

        `idle_seconds`: after which the process ends if there is no client and no turn.
        """
        from anyio import create_task_group

        server = self._server

        async def run() -> None:
            async with server.running(), create_task_group() as accepting:
                if standard is not None:
                    server.start(standard.connection, standard.transport, is_only=standard.ends_process)
                for listener in listeners:
                    accepting.start_soon(server.accept, listener)
                if idle_seconds is not None:
                    accepting.start_soon(self._watch_work, listeners, idle_seconds)
                await server.stopping()
                for listener in listeners:
                    listener.close()
                accepting.cancel_scope.cancel()

        return await self._until_the_end(run, standard.transport if standard and standard.ends_process else None)

    async def _until_the_end(self, serve: Callable[[], Awaitable[None]], transport: Transport | None) -> int:
        """Serve, and heed what ends the process. `transport`: the client's without which there is nothing to do."""
        from anyio import create_task_group

        async with create_task_group() as heeding:
            if sys.platform != "win32":  # there, SIGTERM ends a process without asking it
                heeding.start_soon(self._heed_signals)  # until the very end: a second signal must not cut it short
            heeding.start_soon(collect_as_usual)
            if transport is not None:
                heeding.start_soon(self._watch_client, transport)
            await serve()
            heeding.cancel_scope.cancel()
        return self._exit_code

    async def _watch_client(self, transport: Transport) -> None:
        """Notice that the client has gone without closing our input: somebody else may hold its end."""
        from anyio import sleep

        while not (self._parent.has_gone() or transport.peer_closed()):  # noqa: ASYNC110 - nobody sets an event for it
            await sleep(WATCH_SECONDS)
        self._server.stop()

    async def _watch_work(self, listeners: Sequence[Listener], seconds: float) -> None:
        """End the process when there has been nothing to do for so long.

        First the listeners are withdrawn, so that a client which comes now starts another server. One that has
        connected just before is still served.
        """
        from anyio import current_time, sleep

        busy_at = current_time()
        while current_time() - busy_at < seconds:
            await sleep(min(WATCH_SECONDS, seconds))
            if self._server.is_busy:
                busy_at = current_time()
        for listener in listeners:
            listener.withdraw()
        await sleep(WATCH_SECONDS)
        while self._server.is_busy:  # noqa: ASYNC110 - many things may end it
            await sleep(WATCH_SECONDS)
        self._server.stop()

    async def _heed_signals(self) -> None:
        """Take the signals that end a process as a request to wind down."""
        from anyio import open_signal_receiver

        with open_signal_receiver(*ending_signals()) as received:
            async for number in received:
                self._exit_code = 128 + int(number)
                self._server.stop()
