"""The life of a server: clients come and go, and at the end everything ends in order, within bounds.

On every way out (the end of input, a signal, a client that has gone) running turns get their last notification, what is
queued is written, and the server ends within SHUTDOWN_SECONDS. Only a redemption that has begun is waited for until the
issuer has answered (`auth/refresh/redemption.py`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

from appserver.errors import ConfigError
from appserver.log import log_exception
from appserver.server.connection import FLUSH_SECONDS, Connection
from appserver.server.runtime import Runtime, telemetry_of
from appserver.transport.base import Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from anyio.abc import TaskGroup

    from appserver.server.arrivals import Arrivals
    from appserver.server.workspace import Workspace
    from appserver.settings import Settings
    from appserver.telemetry import Telemetry
    from appserver.transport.base import Transport
    from appserver.transport.listener import Listener

DRAIN_SECONDS = 1.5
"""What requests in flight get to be answered after the end of input, and turns to be written down."""

LOCK_SECONDS = 1.0
"""How much of that goes by before nothing waits any longer for another process's lock, or for the keyring."""

SETTLE_SECONDS = 1.5
"""What a refresh or a revocation under way gets, and a last try to store what is not stored yet."""

SHUTDOWN_SECONDS = DRAIN_SECONDS + SETTLE_SECONDS + FLUSH_SECONDS


class Server:
    """Keeps workspaces running and serves their clients."""

    def __init__(self, settings: Settings, telemetry: Telemetry | None = None) -> None:
        """`telemetry`: if not what the environment asks for."""
        self.runtime = Runtime(settings, telemetry or telemetry_of(settings.environ))
        self.runtime.telemetry.watch(self)
        self._workspaces: list[Workspace] = []
        self._connections: set[Connection] = set()
        self._numbers = count(1)
        self._only: Connection | None = None
        """The client without which there is nothing to serve for."""

    # Figures, also from another thread (`telemetry.Figures`)

    def open_connections(self) -> int:
        return len(self._connections)

    def unsent_bytes(self) -> int:
        return sum(connection.outbox.size for connection in tuple(self._connections))

    def longest_loop_pause(self) -> float | None:
        return self.runtime.loop_pauses.longest()

    # Before there is an event loop, too

    @cached_property
    def home(self) -> Workspace:
        """The workspace of the home directory. Raises ConfigError."""
        from appserver.server.workspace import Workspace  # late: after the handshake

        return self.add(Workspace(self.runtime))

    def add(self, workspace: Workspace) -> Workspace:
        """Keep a workspace running, and return it."""
        self._workspaces.append(workspace)
        if self.runtime.is_running:
            self.runtime.maintenance.add(workspace.settings, workspace.account.auth)
        return workspace

    async def remove(self, workspace: Workspace) -> None:
        """Keep a workspace running no longer: its clients are left, its turns interrupted, and it is closed."""
        self._workspaces.remove(workspace)
        self.runtime.maintenance.remove(workspace.account.auth)
        clients = [one for one in self._connections if one.workspace is workspace]
        for client in clients:
            client.stop_reading(Ending.REVOKED)
        workspace.interrupt_turns()
        await _drained(clients, [workspace], DRAIN_SECONDS)
        await workspace.close()

    def connection(
        self, workspace: Workspace | None = None, *, bounded: bool = True, kind: Callable[..., Connection] = Connection
    ) -> Connection:
        """Return a connection for one client, of the home directory's workspace or of another.

        `bounded`: whether the client is left if it does not read; one that has the server alone is waited for.
        """
        runtime, number = self.runtime, next(self._numbers)
        return kind(runtime.settings, lambda: workspace or self.home, number, runtime.telemetry, bounded=bounded)

    def check_configuration(self, *, lenient: bool) -> None:
        """Load now what a mistake in the configuration would break later. Raises ConfigError, unless lenient."""
        settings = self.runtime.settings
        if settings.refresher:
            try:
                _ = self.home
            except ConfigError as exc:
                if not lenient:
                    raise
                problems = (*settings.problems, exc)
                self.runtime = Runtime(settings._replace(refresher=None, problems=problems), self.runtime.telemetry)

    # Inside the event loop

    async def serve(self, connection: Connection, transport: Transport) -> None:
        """Serve the client that the server is there for; when that one has left, or on `stop`, everything ends."""
        async with self.running():
            self.start(connection, transport, is_only=True)
            await self.stopping()

    def start(self, connection: Connection, transport: Transport, *, is_only: bool) -> None:
        """Start to serve a client, while the server is running. `is_only`: when it has left, everything ends."""
        if is_only:
            self._only = connection
        self._clients.start_soon(self._serve if is_only else self.serve_one_of_many, connection, transport)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the workspaces running for the length of the block. Then everything ends, and all clients are left."""
        from anyio import Event, create_task_group, move_on_after

        self._stopping, self._wound_down = Event(), Event()
        async with create_task_group() as clients:
            self._clients: TaskGroup = clients
            async with self.runtime.running():
                for workspace in self._workspaces:
                    self.runtime.maintenance.add(workspace.settings, workspace.account.auth)
                yield
                self.stop()
                await self._wind_down()
            self._wound_down.set()
            with move_on_after(FLUSH_SECONDS):
                await self._close()

    async def accept(self, listener: Listener, workspace: Workspace | None = None) -> None:
        """Serve the clients that come to a listener, while the server is running, until no other can come."""
        await self._arrivals.accept(
            listener, lambda transport: self.start(self.connection(workspace), transport, is_only=False)
        )

    async def stopping(self) -> None:
        """Wait until everything is to end."""
        await self._stopping.wait()

    @property
    def is_busy(self) -> bool:
        """Whether there is a client, or a turn that runs."""
        return bool(
            self._connections or self._arrivals or any(workspace.running_turns for workspace in self._workspaces)
        )

    def stop(self) -> None:
        """Take nothing more from any client, and end."""
        self._stopping.set()
        for connection in self._connections:
            connection.stop_reading(Ending.STOPPED)

    @cached_property
    def _arrivals(self) -> Arrivals:
        from appserver.server.arrivals import Arrivals  # late: stdio has one client

        return Arrivals(lambda: len(self._connections))

    async def _serve(self, connection: Connection, transport: Transport) -> None:
        self._connections.add(connection)
        if self._stopping.is_set():
            connection.stop_reading(Ending.STOPPED)
        try:
            await connection.serve(transport, self._leave)
        finally:
            self._connections.discard(connection)

    async def serve_one_of_many(self, connection: Connection, transport: Transport) -> None:
        """Serve a client until it has left, and close its transport."""
        try:
            await self._serve(connection, transport)
        except Exception as exc:  # noqa: BLE001 - the other clients must not notice
            log_exception("a connection ended with an unexpected error", exc)
        finally:
            transport.close()

    async def _leave(self, connection: Connection) -> None:
        """Wait for what a client that sends nothing more is still to be told.

        One that leaves by itself gets the answers to its requests. At the end of the server each is told how the turns
        that it follows have ended.
        """
        from anyio import move_on_after

        if connection is self._only:
            self.stop()
        if not self._stopping.is_set():
            connection.expect_no_replies()  # now: whoever waits for one asks another client
            with move_on_after(DRAIN_SECONDS):
                await connection.dispatcher.idle()
        if self._stopping.is_set():
            await self._wound_down.wait()

    async def _wind_down(self) -> None:
        """End what runs: turns at once, requests in flight and a refresh under way within their bounds."""
        from anyio import create_task_group, move_on_after

        for workspace in self._workspaces:
            workspace.interrupt_turns()
        await _drained(self._connections, self._workspaces, LOCK_SECONDS)
        for workspace in self._workspaces:
            workspace.stop_waiting()
        await _drained(self._connections, self._workspaces, DRAIN_SECONDS - LOCK_SECONDS)
        with move_on_after(SETTLE_SECONDS) as bound:
            async with create_task_group() as group:
                for workspace in self._workspaces:
                    group.start_soon(workspace.account.auth.wind_down)
        for workspace in self._workspaces:
            workspace.account.end_revocations(bound.deadline)

    async def _close(self) -> None:
        for workspace in self._workspaces:
            await workspace.close()
        await self.runtime.close()


async def _drained(connections: Iterable[Connection], workspaces: Iterable[Workspace], seconds: float) -> None:
    """Wait until requests in flight are answered and turns have ended, but no longer than this."""
    from anyio import move_on_after

    with move_on_after(seconds):
        for connection in tuple(connections):
            await connection.dispatcher.idle()
        for workspace in tuple(workspaces):
            await workspace.turns_ended()
