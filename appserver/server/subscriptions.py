"""Who is told what, and who is asked: the connections of a workspace, and the threads that each follows.

What happens in a thread goes to the connections that have subscribed to it; what concerns everybody, such as the
account or a thread's status, goes to all. A request of ours goes to one connection: the one that it belongs to, and if
that one has left, or leaves before it answers, the next one of the rule that the caller gives. A thread that nobody
follows stays loaded for a while and is then closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from appserver.errors import ClientError, ClientGone
from appserver.session import Session
from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from appserver.tasks import Tasks
    from protocol.notify import Notify

CLOSE_SECONDS = 1800.0
"""After which a thread that nobody follows is closed: what the reference waits."""

BROADCAST = frozenset({"thread/status/changed", "account/rateLimits/updated"})
"""Notifications of a turn that go to every connection."""


class Subscriber(Protocol):
    """A connection, as its workspace sees it."""

    @property
    def session(self) -> Session:
        """Who is on the other end."""

    @property
    def notify(self) -> Notify:
        """Sends a notification to this client."""

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its validated result.

        Raises ClientError, ClientTimeout, InvalidParams, and ClientGone once the connection has ended.
        """

    async def drain(self) -> None:
        """Wait while the client is slow to read."""


class Subscriptions:
    """The connections of one workspace."""

    def __init__(self, tasks: Tasks, close: Callable[[str], Awaitable[None]]) -> None:
        """`close(thread_id)`: closes a thread that nobody has followed for CLOSE_SECONDS."""
        self.broadcast: Notify = self._broadcast
        """Sends a notification to every connection."""
        self.emit: Notify = self._emit
        """Sends a notification of a turn to whom it concerns."""
        self._tasks = tasks
        self._close = close
        self._connections: tuple[Subscriber, ...] = ()  # the oldest first
        self._subscribers: dict[str, tuple[Subscriber, ...]] = {}
        self._closing: dict[str, Stop] = {}
        """By thread that nobody follows: what ends the wait before it is closed."""

    # Connections

    def join(self, connection: Subscriber) -> None:
        """Tell a connection, from now on, what concerns everybody."""
        self._connections = (*self._connections, connection)

    def leave(self, connection: Subscriber) -> None:
        """Forget a connection and what it follows."""
        self._connections = _without(self._connections, connection)
        for thread_id in [one for one, subscribers in self._subscribers.items() if connection in subscribers]:
            self.unsubscribe(connection, thread_id)

    @property
    def session(self) -> Session:
        """In whose name requests are sent that no particular client has asked for: that of the oldest connection."""
        return self._connections[0].session if self._connections else Session()

    # Threads

    def subscribe(self, connection: Subscriber, thread_id: str) -> None:
        """Tell a connection what happens in a thread. Doing it twice does no harm."""
        subscribers = self._subscribers.get(thread_id, ())
        if connection not in subscribers:
            self._subscribers[thread_id] = (*subscribers, connection)
        self._keep_open(thread_id)

    def unsubscribe(self, connection: Subscriber, thread_id: str) -> bool:
        """Tell it no more. Returns whether it was subscribed."""
        subscribers = self._subscribers.get(thread_id, ())
        if connection not in subscribers:
            return False
        if rest := _without(subscribers, connection):
            self._subscribers[thread_id] = rest
        else:
            del self._subscribers[thread_id]
            stop = self._closing[thread_id] = Stop()
            self._tasks.start(self._close_later, thread_id, stop)
        return True

    def forget(self, thread_id: str) -> None:
        """Forget who follows a thread: it is not loaded any more."""
        self._subscribers.pop(thread_id, None)
        self._keep_open(thread_id)

    # Telling

    def followers(self, thread_id: str, asker: Subscriber | None = None) -> Notify:
        """Return what sends notifications to the connections that follow a thread, and to `asker` in any case."""
        subscribers = self._subscribers.get(thread_id, ())
        others = () if asker is None or asker in subscribers else (asker,)
        return partial(_send, (*subscribers, *others))

    def _broadcast(self, method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
        _send(self._connections, method, params)

    def _emit(self, method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
        for connection in self._connections if method in BROADCAST else self._subscribers.get(params["threadId"], ()):
            connection.notify(method, params)

    async def drain(self, thread_id: str) -> None:
        """Wait while one who follows a thread is slow to read."""
        for connection in self._subscribers.get(thread_id, ()):
            await connection.drain()

    # Asking

    def supplier(self, connection: Subscriber) -> Asked:
        """Return who is asked for new tokens: the connection that supplied the old ones, then the oldest other one."""
        return Asked(connection, lambda: self._among(connection, self._connections))

    def of_turn(self, connection: Subscriber, thread_id: str) -> Asked:
        """Return who calls a turn's tools: the connection that started it, then one that follows its thread."""
        return Asked(connection, lambda: self._among(connection, self._subscribers.get(thread_id, ())))

    def _among(self, first: Subscriber, others: tuple[Subscriber, ...]) -> Iterable[Subscriber]:
        connected = (first,) if first in self._connections else ()
        return (*connected, *_without(others, first))

    # Closing

    def _keep_open(self, thread_id: str) -> None:
        stop = self._closing.pop(thread_id, None)
        if stop is not None:
            stop.cancel()

    async def _close_later(self, thread_id: str, stop: Stop) -> None:
        from anyio import sleep  # late: with the event loop

        with stop:
            await sleep(CLOSE_SECONDS)
            await self._close(thread_id)
            if self._closing.get(thread_id) is stop:  # there was nothing to be closed
                del self._closing[thread_id]


class Asked:
    """One connection of several, in an order: whichever is there and stays until it has answered."""

    def __init__(self, first: Subscriber, candidates: Callable[[], Iterable[Subscriber]]) -> None:
        self.session = first.session
        self._candidates = candidates

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its validated result; `timeout`, in seconds, counts for each that is asked.

        Raises ClientError, ClientTimeout or InvalidParams.
        """
        asked: list[Subscriber] = []
        while True:
            connection = next((one for one in self._candidates() if one not in asked), None)
            if connection is None:
                raise ClientError(f"{method}: no client is connected that could be asked")
            asked.append(connection)
            try:
                return await connection.request(method, params, timeout=timeout, late=late)
            except ClientGone:
                continue


def _without(connections: tuple[Subscriber, ...], one: Subscriber) -> tuple[Subscriber, ...]:
    return tuple(other for other in connections if other is not one)


def _send(connections: tuple[Subscriber, ...], method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
    for connection in connections:
        connection.notify(method, params)
