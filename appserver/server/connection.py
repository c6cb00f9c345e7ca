"""One client: its handshake, what is sent to it, the requests that it waits for, and those that we have sent it.

Works in a workspace and knows of no other client. `server/serve.py` keeps the workspace running and says when
everything ends; here is how one client is read, answered and left.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from appserver.handlers.handshake import initialize
from appserver.log import log_error, warn
from appserver.rpc.client_calls import ClientCalls
from appserver.rpc.dispatcher import Dispatcher
from appserver.rpc.outbox import READ_HIGH_WATER_BYTES, Outbox
from appserver.rpc.router import Reply, Router
from appserver.session import Session
from appserver.tasks import Stop, Tasks
from appserver.transport.base import Ending, TransportClosed
from protocol import envelope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio import Event

    from appserver.rpc.router import Handler
    from appserver.server.workspace import Workspace
    from appserver.settings import Settings
    from appserver.telemetry import Telemetry
    from appserver.transport.base import Transport
    from protocol.diagnostics import DiagnosticsConnection
    from protocol.notify import Notify

FLUSH_SECONDS = 1.0
"""What a client gets to read the last lines."""


class Connection:
    """One client (`server.workspace.Client`)."""

    def __init__(
        self,
        settings: Settings,
        open_workspace: Callable[[], Workspace],
        number: int,
        telemetry: Telemetry,
        *,
        bounded: bool = True,
    ) -> None:
        """`number`: by which it is told apart from the others of this process.

        `open_workspace`: makes the client's workspace, or returns it. Called after the handshake, for its imports.

        `settings`: the runtime's, of which the handshake tells. `bounded`: a client that does not read is left, because
        others do not wait for it.
        """
        self.number = number
        self.outbox = Outbox(on_overflow=self._leave_behind if bounded else None)
        self.tasks = Tasks()
        """The requests that wait for something. They end with the connection."""
        self.session = Session()
        self._settings = settings
        self._open_workspace = open_workspace
        self._calls = ClientCalls(self.outbox, self.session)
        router = Router(self._initialize, self._routes, self.session)
        self.dispatcher = Dispatcher(router, self._calls, self.outbox, self.tasks, warn, number, telemetry)
        self.notify: Notify = self._calls.notify
        self.tell = self._calls.tell
        self.request = self._calls.request
        self._reading = Stop()
        self._ending = Ending.LEFT
        self._warned_of_options = False

    @cached_property
    def workspace(self) -> Workspace:
        """What the client works in."""
        workspace = self._open_workspace()
        workspace.subscriptions.join(self)
        return workspace

    @property
    def needs_event_loop(self) -> bool:
        """Whether something waits for the event loop: a request of the client's, or what one has begun."""
        return self.tasks.waiting or ("workspace" in self.__dict__ and self.workspace.tasks.waiting)

    @property
    def has_room(self) -> bool:
        """Whether the client reads fast enough for now."""
        return self.outbox.has_room

    def wake_when_read(self, waiter: object, waiting: Event) -> None:
        """Set an event once the client has read more, or has left. A waiter has one event at a time."""
        self.outbox.wake_when_read(waiter, waiting)

    def diagnostics(self) -> DiagnosticsConnection:
        """Return figures about the connection."""
        return {
            "id": self.number,
            "clientName": self.session.originator,
            "clientVersion": self.session.client_version,
            "queuedBytes": self.outbox.size,
            "requestsInFlight": self.dispatcher.requests_in_flight,
            "requestsQueued": self.dispatcher.requests_queued,
        }

    def warn_of_options(self, config: Mapping[str, Any]) -> None:
        """Tell the client, once, what of the options of a thread is not run here."""
        if self._warned_of_options:
            return
        from appserver.settings.layers import request_layer
        from appserver.settings.warnings import not_run

        if warning := not_run(request_layer(config).values):
            self._warned_of_options = True
            self.notify("configWarning", warning)

    async def serve(self, transport: Transport, leave: Callable[[Connection], Awaitable[None]]) -> None:
        """Serve the client until it is done with us, or until `stop_reading`.

        `leave` is awaited when nothing more is read, while what is sent to the client still gets there.
        """
        from anyio import create_task_group, current_time

        _ = self.workspace  # from now on the client is told what concerns everybody
        try:
            async with create_task_group() as writing:
                writing.start_soon(self._write, transport)
                async with create_task_group() as requests:
                    self.tasks.open(requests)
                    with self._reading:
                        await self._read(transport)
                    await leave(self)
                    requests.cancel_scope.cancel()
                self.dispatcher.close()
                self.outbox.close()
                writing.cancel_scope.deadline = current_time() + FLUSH_SECONDS
        finally:
            self.workspace.subscriptions.leave(self)
            self.expect_no_replies()

    def expect_no_replies(self) -> None:
        """Let our requests that wait for a reply fail: the client has gone."""
        self._calls.close()

    def stop_reading(self, ending: Ending) -> None:
        """Take nothing more from the client."""
        if not self._reading.cancelled:
            self._ending = ending
        self._reading.cancel()

    def _leave_behind(self) -> None:
        """End the connection of a client that is too slow. It is told so, if it reads at least that."""
        words = f"the connection was closed: the client has not read {self.outbox.size >> 20} MiB of output"
        warn(f"{self.session.originator}: {words}")
        self.outbox.close_with(envelope.notification("warning", {"threadId": None, "message": words}))
        self.stop_reading(Ending.TOO_SLOW)

    async def _read(self, transport: Transport) -> None:
        """Await nothing but the next lines, and room for the answers of a client that sends and does not read."""
        while (lines := await transport.receive()) is not None:
            for line in lines:
                self.dispatcher.receive(line)
                await self.dispatcher.pause()
            await self.dispatcher.drain()
            await self.outbox.drain(READ_HIGH_WATER_BYTES)

    async def _write(self, transport: Transport) -> None:
        try:
            while await self.outbox.filled():
                await transport.send(self.outbox.take())
            await transport.finish(self._ending)
        except TransportClosed:
            self.outbox.close(discard=True)
            self.stop_reading(Ending.LEFT)

    def _initialize(self, params: object) -> Reply:
        return Reply(initialize(self.session, self._settings, params), then=self._warn_of_configuration)

    def _warn_of_configuration(self) -> None:
        """Tell the client, now that it listens, what of the configuration is not used."""
        if not (self._settings.values or self._settings.problems):
            return
        from appserver.settings.warnings import not_run, unusable  # late: after the handshake

        for problem in self._settings.problems:
            log_error(f"Invalid configuration; using defaults. {problem.message}")
            self.notify("configWarning", unusable(problem))
        if warning := not_run(self._settings.values):
            self._warned_of_options = True
            self.notify("configWarning", warning)

    def _routes(self) -> Mapping[str, Handler]:
        from appserver.handlers.table import routes

        return routes(self)
