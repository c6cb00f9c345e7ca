"""Notifications on their way to the consumers that asked for them.

Every stream has a buffer of its own, so a slow consumer delays neither the reader, nor replies, nor other streams.
The buffer is bounded and nothing is dropped unseen: a stream that falls too far behind delivers what it holds and
then raises StreamOverflow. Knows nothing of JSON or pipes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self

import anyio
from typing_extensions import TypeVar

from appserver.client.errors import ServerGone, StreamOverflow
from appserver.client.types.notifications import KNOWN
from appserver.client.wire import Notification, UnknownNotification

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from appserver.errors import AppServerError

MAX_BUFFERED = 65_536
"""Notifications that a stream may be behind: minutes of a fast model, and some tens of megabytes."""

NOTIFICATION_SECONDS = 60.0
"""What `next` waits unless told otherwise: longer than a model thinks before it begins to answer."""

N = TypeVar("N", bound=Notification, default=Notification)

_CLASSES = {one.method: one for one in KNOWN}


class Told(NamedTuple):
    """A notification as it came."""

    method: str
    params: dict[str, Any]

    def read(self) -> Notification:
        """Return it as an object of its class; one of no known method or shape as an UnknownNotification."""
        kind = _CLASSES.get(self.method)
        if kind is not None:
            try:
                return kind.from_wire(self.params)
            except ServerGone:
                pass  # of another version: one such notification must not end the stream
        return UnknownNotification(self.method, self.params)


class NotificationStream(Generic[N]):
    """Notifications from the moment it is entered: `async with server.notifications(...) as stream`.

    Iterate over it, or wait for single ones with `next`. When the server has gone and all that was buffered has been
    read, it raises ServerGone.
    """

    def __init__(
        self,
        open_streams: set[NotificationStream[Any]],
        wants: Callable[[str, dict[str, Any]], bool],
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        """`wants`: chooses by method and params. A stream is in `open_streams` while it is open."""
        self._open_streams = open_streams
        self._wants = wants
        self._max_buffered = max_buffered
        self._buffer: deque[Told | Notification] = deque()
        self._end: AppServerError | None = None
        self._news = anyio.Event()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> N:
        while not self._buffer:
            if self._end is not None:
                raise self._end
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        note = self._buffer.popleft()
        return note.read() if isinstance(note, Told) else note  # type: ignore[return-value] # `wants` has chosen

    async def next(self, timeout: float = NOTIFICATION_SECONDS) -> N:
        """Wait for one notification; `timeout` in seconds. Raises TimeoutError."""
        try:
            with anyio.fail_after(timeout):
                return await self.__anext__()
        except TimeoutError:
            raise TimeoutError(f"no notification within {timeout:g}s") from None

    def open(self) -> None:
        """Take notifications from now on."""
        self._open_streams.add(self)

    def close(self) -> None:
        """Take no more."""
        self._open_streams.discard(self)

    def put(self, note: Told | Notification) -> None:
        """Take a notification if it is wanted here. Never waits. The reader's side."""
        if self._end is not None or not self._wants(note.method, note.params if isinstance(note, Told) else {}):
            return
        if len(self._buffer) >= self._max_buffered:
            self.end(StreamOverflow(f"The stream was not read while {self._max_buffered} notifications came"))
        else:
            self._buffer.append(note)
            self._news.set()

    def end(self, error: AppServerError) -> None:
        """Raise this once the buffer is empty. The reader's side."""
        self._end = self._end or error
        self._news.set()


def wanted(kinds: tuple[type[Notification], ...], thread_id: str | None) -> Callable[[str, dict[str, Any]], bool]:
    """Return what chooses notifications: those of some classes, or of all; those of one thread, or of all."""
    methods = {one.method for one in kinds if one is not UnknownNotification}

    def wants(method: str, params: dict[str, Any]) -> bool:
        kind = not kinds or method in methods or (UnknownNotification in kinds and method not in _CLASSES)
        return kind and thread_id in (None, params.get("threadId"))

    return wants
