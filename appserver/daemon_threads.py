"""The executor of the event loop, in threads that the end of the process does not wait for.

The event loop looks up host names in its executor. A lookup cannot be cancelled, and can take minutes where no name
server answers; with threads of `concurrent.futures` the process would not end before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 64
"""More than asyncio's default: lookups that hang could occupy all of those while other hosts can be reached."""


class DaemonThreads(ThreadPoolExecutor):
    """Runs calls in threads that end when nothing is left to be done. asyncio takes no other class of executor."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # none of its own is ever started
        self._lock = Lock()  # of what callers and threads change
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call. Raises RuntimeError if no thread can be started."""
        future: Future[T] = Future()
        with self._lock:
            if self._running < MAX_THREADS:
                Thread(target=self._run, name="executor", daemon=True).start()
                self._running += 1
            self._calls.append((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Return at once, whatever is asked: no caller waits any more for the calls that still run."""

    def _run(self) -> None:
        while (next_call := self._next()) is not None:
            future, call = next_call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as exc:  # noqa: BLE001 - raised where the future is awaited
                    future.set_exception(exc)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            self._running -= 1
            return None


def use_daemon_threads() -> None:
    """Have the running event loop look up host names in such threads."""
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
