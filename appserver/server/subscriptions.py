"""Who is told what, and who is asked: the connections of a workspace, and the threads that each follows.

What happens in a thread goes to the connections that have subscribed to it; what concerns everybody, such as the
account or a thread's status, goes to all. A request of ours goes to one connection: the one that it belongs to, and if
that one has left, or leaves before it answers, the next one of the rule that the caller gives. A thread that nobody
follows stays loaded for a while and is then closed.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.server.running_items import RunningItems
from appserver.session import Session
from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from anyio import Event

    from appserver.server.asked import Asked
    from appserver.server.joining import Joining
    from appserver.server.subscriber import Receiver, Subscriber
    from appserver.tasks import Tasks
    from protocol.diagnostics import DiagnosticsConnection
    from protocol.notify import Notify

CLOSE_SECONDS = 1800.0
"""After which a thread that nobody follows is closed: what the reference waits."""

BROADCAST = frozenset({"thread/status/changed", "account/rateLimits/updated"})
"""Notifications of a turn that go to every connection."""


class Subscriptions:
    """The connections of one workspace."""

    def __init__(
        self,
        tasks: Tasks,
        close: Callable[[str], Awaitable[None]],
        texts: Callable[[str], Mapping[str, list[str]]],
    ) -> None:
        """`close(thread_id)`: closes a thread that nobody has followed for CLOSE_SECONDS.

        `texts(thread_id)`: the pieces of the messages that the model is writing in it, by item.
        """
        self.broadcast: Notify = self._broadcast
        """Sends a notification to every connection."""
        self.emit: Notify = self._emit
        """Sends a notification of a turn to whom it concerns."""
        self._tasks = tasks
        self._close = close
        self._connections: tuple[Subscriber, ...] = ()  # the oldest first
        self._subscribers: dict[str, tuple[Subscriber, ...]] = {}
        self._joining: dict[str, tuple[Joining, ...]] = {}
        self._running = RunningItems(texts)
        self._changed: dict[str, Event] = {}
        """By thread whose turn waits for a client to read: set when another set of clients follows it."""
        self._closing: dict[str, Stop] = {}
        """By thread that nobody follows: what ends the wait before it is closed."""

    # Connections

    def join(self, connection: Subscriber) -> None:
        """Tell a connection, from now on, what concerns everybody."""
        self._connections = (*self._connections, connection)

    def leave(self, connection: Subscriber) -> None:
        """Forget a connection and what it follows."""
        self._connections = _without(self._connections, connection)
        for thread_id in {*self._subscribers, *self._joining}:
            self.unsubscribe(connection, thread_id)

    @property
    def session(self) -> Session:
        """In whose name requests are sent that no particular client has asked for: that of the oldest connection."""
        return self._connections[0].session if self._connections else Session()

    def diagnostics(self) -> list[DiagnosticsConnection]:
        """Return figures about each connection."""
        return [connection.diagnostics() for connection in self._connections]

    # Threads

    def subscribe(self, connection: Subscriber, thread_id: str) -> None:
        """Tell a connection what happens in a thread. Doing it twice does no harm."""
        subscribers = self._subscribers.get(thread_id, ())
        if connection not in subscribers:
            self._subscribers[thread_id] = (*subscribers, connection)
        self._keep_open(thread_id)
        self._note_change(thread_id)

    @contextmanager
    def joining(self, connection: Subscriber, thread_id: str) -> Iterator[Joining]:
        """Hold what happens in a thread for a connection, from before its history is read until it has been told it.

        The block reads the history; where it fails, nothing is held any longer. Else `Joining.finish` is to be called.
        """
        from appserver.server.joining import Joining  # late: most threads have one client

        is_subscribed = connection in self._subscribers.get(thread_id, ())
        so_far = [] if is_subscribed else self._running.so_far(thread_id)
        joining = Joining(connection, thread_id, so_far, self._end_joining)
        if not is_subscribed:
            self._joining[thread_id] = (*self._joining.get(thread_id, ()), joining)
        try:
            yield joining
        except BaseException:
            self._end_joining(joining)
            raise
        self._keep_open(thread_id)

    def _end_joining(self, joining: Joining, *, subscribe: bool = False) -> bool:
        """Hold nothing for it any longer. Returns whether something was held until now."""
        thread_id, others = joining.thread_id, self._joining.get(joining.thread_id, ())
        rest = tuple(other for other in others if other is not joining)
        if len(rest) == len(others):
            return False
        if rest:
            self._joining[thread_id] = rest
        else:
            del self._joining[thread_id]
        if subscribe:
            self.subscribe(joining.connection, thread_id)
        return True

    def unsubscribe(self, connection: Subscriber, thread_id: str) -> bool:
        """Tell it no more. Returns whether it was subscribed."""
        joining = [one for one in self._joining.get(thread_id, ()) if one.connection is connection]
        for one in joining:
            self._end_joining(one)
        subscribers = self._subscribers.get(thread_id, ())
        if connection not in subscribers and not joining:
            return False
        if rest := _without(subscribers, connection):
            self._subscribers[thread_id] = rest
        else:
            self._subscribers.pop(thread_id, None)
            self._keep_open(thread_id)
            stop = self._closing[thread_id] = Stop()
            self._tasks.start(self._close_later, thread_id, stop)
        self._note_change(thread_id)
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
        return partial(_send, (*subscribers, *others, *self._joining.get(thread_id, ())))

    def _broadcast(self, method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
        _send(self._connections, method, params)

    def _emit(self, method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
        if method in BROADCAST:
            _send(self._connections, method, params)
            return
        thread_id = params["threadId"]
        self._running.note(method, params)
        _send(self._subscribers.get(thread_id, ()), method, params)
        if self._joining:
            _send(self._joining.get(thread_id, ()), method, params)

    async def drain(self, thread_id: str) -> None:
        """Wait while all who follow a thread are slow to read: a turn goes as fast as the fastest of them reads.

        For the others deltas are joined, and one that falls too far behind is left (`rpc/outbox.py`).
        """
        while (followers := self._subscribers.get(thread_id, ())) and not any(one.has_room for one in followers):
            await self._one_drained(thread_id, followers)

    async def _one_drained(self, thread_id: str, followers: tuple[Subscriber, ...]) -> None:
        """Wait until one of them has read something, or others follow the thread."""
        from anyio import Event  # late: with the event loop

        changed = self._changed[thread_id] = Event()
        for one in followers:
            one.wake_when_read(thread_id, changed)
        await changed.wait()

    def _note_change(self, thread_id: str) -> None:
        if (changed := self._changed.pop(thread_id, None)) is not None:
            changed.set()

    # Asking

    def supplier(self, connection: Subscriber) -> Asked:
        """Return who is asked for new tokens: the connection that supplied the old ones, then the oldest other one."""
        from appserver.server.asked import Asked  # late: few clients supply tokens

        return Asked(connection, lambda: self._among(connection, self._connections))

    def of_turn(self, connection: Subscriber, thread_id: str) -> Asked:
        """Return who calls a turn's tools: the connection that started it, then one that follows its thread."""
        from appserver.server.asked import Asked  # late: with the first turn

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


def _without(connections: tuple[Subscriber, ...], one: Subscriber) -> tuple[Subscriber, ...]:
    return tuple(other for other in connections if other is not one)


def _send(receivers: Sequence[Receiver], method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
    if len(receivers) == 1:
        receivers[0].notify(method, params)
    elif receivers:
        from appserver.rpc.shared_notification import SharedNotification  # late: most threads have one client

        notification = SharedNotification(method, params)
        for receiver in receivers:
            receiver.tell(notification)
