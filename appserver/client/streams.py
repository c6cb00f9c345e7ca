"""Streams of notifications, each with a buffer of its own.

A slow consumer delays neither the reader, nor replies, nor other streams. Buffers are bounded, and nothing is dropped
silently: a stream that falls too far behind delivers what it holds and then raises StreamOverflow. Knows nothing of
JSON or pipes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio

from appserver.client.errors import StreamOverflow

if TYPE_CHECKING:
    from types import TracebackType

    from appserver.errors import AppServerError

MAX_BUFFERED = 65_536
"""Notifications that a stream may be behind: minutes of a fast model, and some tens of megabytes."""

NOTIFICATION_SECONDS = 60.0
"""What `next` waits unless told otherwise: longer than a model thinks before it begins to answer."""


class Notification(NamedTuple):
    """One notification of the server."""

    method: str
    params: dict[str, Any]


class NotificationStream:
    """Notifications from the moment it is entered: `async with server.notifications(...) as stream`.

    Iterate over it, or wait for single ones with `next`. When the server has gone and all that was buffered has been
    read, it raises ServerGone.
    """

    def __init__(
        self,
        open_streams: set[NotificationStream],
        methods: frozenset[str],
        thread_id: str | None,
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        self._open_streams = open_streams
        self._methods = methods
        self._thread_id = thread_id
        self._max_buffered = max_buffered
        self._buffer: deque[Notification] = deque()
        self._end: AppServerError | None = None
        self._news = anyio.Event()

    async def __aenter__(self) -> Self:
        self._open_streams.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open_streams.discard(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        while not self._buffer:
            if self._end is not None:
                raise self._end
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        return self._buffer.popleft()

    async def next(self, timeout: float = NOTIFICATION_SECONDS) -> Notification:
        """Wait for one notification; `timeout` in seconds. Raises TimeoutError."""
        try:
            with anyio.fail_after(timeout):
                return await self.__anext__()
        except TimeoutError:
            wanted = ", ".join(sorted(self._methods)) or "notification"
            raise TimeoutError(f"{wanted}: none within {timeout:g}s") from None

    def put(self, note: Notification) -> None:
        """Buffer a notification if the stream is for it. Never waits. Called by the reader."""
        if self._end is not None or not self._wants(note):
            return
        if len(self._buffer) >= self._max_buffered:
            self.end(StreamOverflow(f"The stream was not read while {self._max_buffered} notifications came"))
        else:
            self._buffer.append(note)
            self._news.set()

    def end(self, error: AppServerError) -> None:
        """Have the consumer get this error once the buffer is empty. Called by the reader."""
        self._end = self._end or error
        self._news.set()

    def _wants(self, note: Notification) -> bool:
        if self._methods and note.method not in self._methods:
            return False
        return self._thread_id in (None, note.params.get("threadId"))
