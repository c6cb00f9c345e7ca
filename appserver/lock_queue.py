"""Uses of a store that met another process's lock: made again, in the order in which they came.

A store does not wait for a lock itself, because it would do so on the event loop, and with it every other request. A
use is a plain function that raises Busy, and has changed nothing, if it meets the lock. Nothing here needs an event
loop until something has to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from anyio import CancelScope, Event

T = TypeVar("T")

RETRY_SECONDS = 0.005
"""Between two tries, unless the store says otherwise. Neither files nor SQLite can tell that a lock is free."""


class LockQueue:
    """The uses that wait. One that comes later is not made before them."""

    def __init__(self, seconds: float, retry_seconds: float = RETRY_SECONDS) -> None:
        """`seconds`: what a use may wait; `retry_seconds`: between two tries."""
        self.retry_seconds = retry_seconds
        self._seconds = seconds
        self._waiting: deque[_Waiting[Any]] = deque()
        self._trying = False
        self._closed = False

    @property
    def reserved(self) -> bool:
        """Whether the next write is another use's: one that waits for it."""
        return bool(self._waiting) and not self._trying

    def attempt(self, use: Callable[[], T]) -> T | Coroutine[Any, Any, T]:
        """Return what a use returns, or a coroutine of it if it has to wait. Raises what it raises."""
        try:
            return use()
        except Busy as exc:
            waiting = self._enter(use, exc, shield=False)
        return waiting

    async def apply(self, use: Callable[[], T], *, shield: bool = True) -> T:
        """Return what a use returns, once it is possible. Does not wait if it is now.

        `shield`: a wait cannot be cancelled.
        """
        try:
            return use()
        except Busy as exc:
            waiting = self._enter(use, exc, shield=shield)
        return await waiting

    def close(self) -> None:
        """Let nothing wait any longer: what does fails as busy."""
        self._closed = True
        for waiting in self._waiting:
            waiting.cut_short()

    def next_is(self, waiting: _Waiting[Any]) -> bool:
        """Whether this is the first that waits."""
        return self._waiting[0] is waiting

    def once_more(self, use: Callable[[], T]) -> T:
        """Make a use while others wait behind it."""
        self._trying = True
        try:
            return use()
        finally:
            self._trying = False

    def _enter(self, use: Callable[[], T], busy: Busy, *, shield: bool) -> _Waiting[T]:
        if self._closed:
            raise busy
        waiting = _Waiting(self, use, busy, self._seconds, shield=shield)
        self._waiting.append(waiting)
        return waiting

    def leave(self, waiting: _Waiting[Any]) -> None:
        """Take one out of the queue, and wake the next one."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if self._waiting:
            self._waiting[0].wake()


class _Waiting(Coroutine[Any, Any, T]):
    """A use that waits, from the moment that it is in the queue: also before it is awaited."""

    def __init__(self, queue: LockQueue, use: Callable[[], T], busy: Busy, seconds: float, *, shield: bool) -> None:
        self._queue = queue
        self._use = use
        self._busy = busy
        self._seconds = seconds
        self._shield = shield
        self._scope: CancelScope | None = None
        self._first: Event | None = None
        self._coroutine = self._wait()

    def wake(self) -> None:
        """Tell it that it is the first."""
        if self._first is not None:
            self._first.set()

    def cut_short(self) -> None:
        """End the wait, or let it not begin."""
        self._seconds = 0
        if self._scope is not None:
            self._scope.cancel()

    async def _wait(self) -> T:
        """Make the use, and await what it returns if that is an awaitable: it waits for something else."""
        outcome = await self._made()
        return await outcome if isinstance(outcome, Awaitable) else outcome

    async def _made(self) -> T | Awaitable[T]:
        from anyio import CancelScope, Event, current_time, sleep

        try:
            self._scope = CancelScope(deadline=current_time() + self._seconds, shield=self._shield)
            with self._scope:
                if not self._queue.next_is(self):
                    self._first = Event()
                    await self._first.wait()
                while True:
                    try:
                        return self._queue.once_more(self._use)
                    except Busy as exc:
                        self._busy = exc
                    await sleep(self._queue.retry_seconds)
        finally:
            self._queue.leave(self)
        raise self._busy

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:  # noqa: ANN401 - as the base class has it
        return self._coroutine.send(value)

    def throw(self, *exc: Any) -> Any:  # noqa: ANN401 - as the base class has it
        return self._coroutine.throw(*exc)

    def close(self) -> None:
        """Give it up."""
        self._coroutine.close()
        self._queue.leave(self)
