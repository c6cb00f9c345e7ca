"""The composition root of a connection, and its life: read, answer, shut down.

Builds everything and opens the one task group. On every way out (end of input, a signal, a client that has gone)
running turns get their last notification, what is queued is written, and the process ends within SHUTDOWN_SECONDS.
Only a redemption that has begun is waited for until the issuer has answered (`auth/refresh/redemption.py`).
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from appserver.errors import ConfigError
from appserver.handlers.handshake import initialize
from appserver.heap import collect_as_usual
from appserver.log import log_error, warn
from appserver.parent_process import ParentProcess
from appserver.rpc.client_calls import ClientCalls
from appserver.rpc.dispatcher import Dispatcher
from appserver.rpc.outbox import BRIM_BYTES, Outbox
from appserver.rpc.router import Reply, Router
from appserver.session import Session
from appserver.signals import ending_signals
from appserver.tasks import Tasks
from appserver.transport.stdio import TransportClosed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio import CancelScope

    from appserver.rpc.router import Handler
    from appserver.server.services import Services
    from appserver.settings import Settings
    from appserver.transport.framing import Line

DRAIN_SECONDS = 1.5
"""What requests in flight get to be answered after the end of input, and turns to be written down."""

LOCK_SECONDS = 1.0
"""How much of that goes by before nothing waits any longer for another process's lock, or for the keyring."""

SETTLE_SECONDS = 1.5
"""What a refresh or a revocation under way gets, and a last try to store what is not stored yet."""

FLUSH_SECONDS = 1.0
"""What the client gets to read the last lines, and connections to be closed."""

SHUTDOWN_SECONDS = DRAIN_SECONDS + SETTLE_SECONDS + FLUSH_SECONDS

WATCH_SECONDS = 1.0
"""How often to look whether the client is still there."""


class Transport(Protocol):
    """How lines come in and bytes go out."""

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""

    def peer_closed(self) -> bool:
        """Whether the reader of our output has gone."""


class Connection:
    """One client, and everything that serves it."""

    def __init__(self, settings: Settings) -> None:
        self.outbox = Outbox()
        self.tasks = Tasks()
        self._settings = settings
        self._parent_process = ParentProcess()  # now: it may end while the event loop is being imported
        self._session = Session()
        self._client = ClientCalls(self.outbox, self._session)
        router = Router(self._initialize, self._routes, self._session)
        self.dispatcher = Dispatcher(router, self._client, self.outbox, self.tasks, warn)

    def _initialize(self, params: object) -> Reply:
        return Reply(initialize(self._session, self._settings, params), then=self._warn_of_configuration)

    def _warn_of_configuration(self) -> None:
        """Tell the client, now that it listens, what of the configuration is not used."""
        if not (self._settings.values or self._settings.problems):
            return
        from appserver.settings.warnings import not_run, unusable  # late: after the handshake

        for problem in self._settings.problems:
            log_error(f"Invalid configuration; using defaults. {problem.message}")
            self._client.notify("configWarning", unusable(problem))
        if warning := not_run(self._settings.values):
            self._client.notify("configWarning", warning)

    @cached_property
    def services(self) -> Services:
        """What the handlers work with. Made after the handshake, because it imports them."""
        from appserver.server.services import Services

        return Services(self._settings, self._session, self.tasks, self._client, self.outbox.room)

    def check_configuration(self, *, lenient: bool) -> None:
        """Load now what a mistake in the configuration would break later. Raises ConfigError, unless lenient."""
        if self._settings.refresher:
            try:
                _ = self.services
            except ConfigError as exc:
                if not lenient:
                    raise
                problems = (*self._settings.problems, exc)
                self._settings = self._settings._replace(refresher=None, problems=problems)

    def _routes(self) -> Mapping[str, Handler]:
        from appserver.handlers.table import routes

        return routes(self.services)

    async def serve(self, transport: Transport, *, owns_process: bool = False) -> int:
        """Serve until the client is done with us, and return the exit code: 0, or 128 plus a signal's number.

        `owns_process`: also end on SIGTERM, SIGINT and SIGHUP, and when the parent process has gone.
        """
        from anyio import CancelScope, create_task_group, current_time

        reading = CancelScope()
        watched = _Process(reading, self._parent_process)
        async with create_task_group() as heeding:
            if owns_process and sys.platform != "win32":  # there, SIGTERM ends a process without asking it
                heeding.start_soon(watched.signals)  # until the very end: a second signal must not cut it short
            async with create_task_group() as writing:
                writing.start_soon(self._write, transport, reading)
                await self._work(transport, reading, watched if owns_process else None)
                self.outbox.close()
                writing.cancel_scope.deadline = current_time() + FLUSH_SECONDS
                await self.services.close()
            heeding.cancel_scope.cancel()
        return watched.exit_code

    async def _work(self, transport: Transport, reading: CancelScope, watched: _Process | None) -> None:
        from anyio import create_task_group

        from appserver.auth.maintenance import Upkeep  # late: with the event loop

        async with create_task_group() as work:
            self.tasks.open(work)
            if watched is not None:
                work.start_soon(collect_as_usual)
                work.start_soon(watched.parent, transport)
            work.start_soon(Upkeep(self._settings, self.services.auth).run)
            with reading:
                await self._read(transport)
            await self._wind_down()
            work.cancel_scope.cancel()
        self.dispatcher.close()

    async def _read(self, transport: Transport) -> None:
        """Await nothing but the next lines, and room for the answers of a client that sends and does not read."""
        while (lines := await transport.receive()) is not None:
            for line in lines:
                self.dispatcher.receive(line)
            await self.dispatcher.room()
            await self.outbox.room(BRIM_BYTES)

    async def _write(self, transport: Transport, reading: CancelScope) -> None:
        try:
            while await self.outbox.filled():
                await transport.send(self.outbox.take())
        except TransportClosed:
            self.outbox.close(discard=True)
            reading.cancel()

    async def _wind_down(self) -> None:
        """End what runs: turns at once, requests in flight and a refresh under way within their bounds."""
        from anyio import move_on_after

        self.services.interrupt_turns()
        await self._drained(LOCK_SECONDS)
        self.services.stop_waiting()
        await self._drained(DRAIN_SECONDS - LOCK_SECONDS)
        with move_on_after(SETTLE_SECONDS) as bound:
            await self.services.auth.settle()
        self.services.end_revocations(bound.deadline)

    async def _drained(self, seconds: float) -> None:
        """Wait until requests in flight are answered and turns have ended, but no longer than this."""
        from anyio import move_on_after

        with move_on_after(seconds):
            await self.dispatcher.idle()
            await self.services.turns_ended()


class _Process:
    """What can happen to a process that ends a connection from outside."""

    def __init__(self, reading: CancelScope, parent: ParentProcess) -> None:
        self.exit_code = 0
        self._reading = reading
        self._parent = parent

    async def parent(self, transport: Transport) -> None:
        """Notice that the client has gone without closing our input: somebody else may hold its end."""
        from anyio import sleep

        while not (self._parent.has_gone() or transport.peer_closed()):  # noqa: ASYNC110 - nobody sets an event for it
            await sleep(WATCH_SECONDS)
        self._reading.cancel()

    async def signals(self) -> None:
        """Take the signals that end a process as a request to wind down."""
        from anyio import open_signal_receiver

        with open_signal_receiver(*ending_signals()) as received:
            async for number in received:
                self.exit_code = 128 + int(number)
                self._reading.cancel()
