"""One connection after another to one server: opening, introducing ourselves, and opening anew after a loss.

Knows neither what is sent nor how a server is reached; `app_server.py` says what an introduction is.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import anyio

from appserver.client.connection import ServerConnection
from appserver.client.errors import ServerGone
from appserver.client.wire import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from anyio.abc import TaskStatus

    from appserver.client.attachment import Attachment
    from appserver.client.connection import Handler
    from appserver.client.errors import TurnLost

NOT_OPEN: Final = "The client is not open: use it in an `async with` block"
CLOSED: Final = "The client was closed"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestartPolicy:
    """How often a server that was lost is started again: `times` within `seconds`, so that one that cannot run ends.

    The first time at once, then after first_delay seconds, doubled each time up to longest_delay.
    """

    times: int = 5
    seconds: float = 60.0
    first_delay: float = 0.1
    longest_delay: float = 5.0

    def delay(self, before: int) -> float:
        """Return what to wait, in seconds, after so many restarts of late."""
        return min(self.first_delay * 2.0 ** (before - 1), self.longest_delay) if before else 0.0


@dataclass(frozen=True)
class ServerRestarted(Notification):
    """The server was lost and has been started again. Told by the client itself, never by a server.

    lost_turns: what ran at the time. lost_threads: ids of threads that could not be resumed.
    """

    method: ClassVar[str] = "client/serverRestarted"
    why: str
    lost_turns: tuple[TurnLost, ...]
    lost_threads: tuple[str, ...]


class Owner(Protocol):
    """Whom a supervisor works for."""

    async def introduce(self, connection: ServerConnection, *, again: bool) -> None:
        """Shake hands, and put everything in place that was before. `again`: after a restart."""

    def lost(self, why: str) -> None:
        """A connection has been lost that is going to be replaced."""

    def restarted(self, why: str) -> None:
        """It has been replaced."""

    def gone(self, why: str) -> None:
        """It has been lost, and that was the last one."""


class Supervisor:
    """Keeps a connection to a server."""

    def __init__(
        self,
        attachment: Attachment,
        policy: RestartPolicy | None,
        owner: Owner,
        handlers: Mapping[str, Handler],
        tell: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.process_id: int | None = None
        """The server's process, if it is one of its own."""
        self._attachment = attachment
        self._policy = policy
        self._owner = owner
        self._handlers = handlers
        self._tell = tell
        self._connection: ServerConnection | None = None
        self._changed = anyio.Event()
        self._stopping = anyio.Event()
        self._restarts: deque[float] = deque()
        self.why_gone: str | None = NOT_OPEN
        """Why there is no server and none will come; None while there may be one."""

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Keep a connection until `stop`. Started with the first introduction, whose failure is raised."""
        self.why_gone, self._stopping = None, anyio.Event()
        why = CLOSED  # also where we are cancelled
        try:
            why = await self._keep(task_status)
        finally:
            self._gone(CLOSED if self._stopping.is_set() else why)

    async def _keep(self, task_status: TaskStatus[None]) -> str:
        """Have one connection after another, and return why there is no further one."""
        why = await self._live(lambda _: task_status.started(), again=False)
        while not self._stopping.is_set() and self._policy is not None and self._allows(self._policy):
            _logger.warning("%s; starting it again", why)
            with anyio.move_on_after(self._policy.delay(len(self._restarts) - 1)):
                await self._stopping.wait()
                break
            try:
                why = await self._live(self._owner.restarted, why, again=True)
            except Exception as exc:  # noqa: BLE001 - also what a token provider raises: it is told, and tried again
                why = str(exc) or type(exc).__name__
        return why

    def stop(self) -> None:
        """End the server, and start no other."""
        self._stopping.set()

    async def connection(self) -> ServerConnection:
        """Return the connection; wait while there is none yet. Raises ServerGone if none will come."""
        if self._stopping.is_set():
            raise ServerGone(CLOSED)
        while (connection := self._connection) is None or connection.why_lost is not None:
            if self.why_gone is not None or (connection is not None and self._policy is None):
                raise ServerGone(self.why_gone or (connection and connection.why_lost) or CLOSED)
            await self._changed.wait()
        return connection

    async def _live(self, ready: Callable[[str], None], why: str = "", *, again: bool) -> str:
        """Have one connection, from its opening to its end, and return why it has ended."""
        link = await self._attachment.open()
        self.process_id = link.process_id
        connection = ServerConnection(link, self._handlers, self._tell)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            try:
                await self._owner.introduce(connection, again=again)
                self._set(connection)
                ready(why)
                await self._ended(connection)
                if connection.why_lost is not None and not self._stopping.is_set():
                    self._lose(connection.why_lost)  # before the rest of the server is waited for
            except Exception as exc:  # noqa: BLE001 - raised below: the task group would wrap it in an ExceptionGroup
                failure = exc
            finally:
                connection.end_input()
                await link.end()
                self.process_id = None
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return connection.why_lost or "The app-server was ended"

    async def _ended(self, connection: ServerConnection) -> None:
        """Wait until the connection is lost, or `stop`."""
        async with anyio.create_task_group() as waiting:

            async def stopped() -> None:
                await self._stopping.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(stopped)
            await connection.lost()
            waiting.cancel_scope.cancel()

    def _allows(self, policy: RestartPolicy) -> bool:
        """Whether there may be another restart now; counts it if so."""
        now = anyio.current_time()
        while self._restarts and self._restarts[0] <= now - policy.seconds:
            self._restarts.popleft()
        if len(self._restarts) >= policy.times:
            return False
        self._restarts.append(now)
        return True

    def _set(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._change()

    def _lose(self, why: str) -> None:
        if self._policy is None:
            self._gone(why)
        else:
            self._owner.lost(why)

    def _gone(self, why: str) -> None:
        self.why_gone = why
        self._owner.gone(why)
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
