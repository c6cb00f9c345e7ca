"""A thread of its own for calls that may block: a database, a keyring, a lock of another process.

A worker runs one call after another, in the order in which they were made. It starts its thread with the first call
and ends it after a while without one, so an idle worker costs nothing. The thread is a daemon: the end of the process
does not wait for a call that hangs (see daemon_threads.py).
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

Args = TypeVarTuple("Args")
T = TypeVar("T")

IDLE_SECONDS = 10.0
"""After which a thread without calls ends. A new one takes about 0.1 ms to start, so it may be seldom used."""


class WorkerClosed(RuntimeError):
    """A call came after the worker was closed."""


class _Call(NamedTuple):
    function: Callable[[], object]
    loop: AbstractEventLoop
    answer: Future[Any]


class Worker:
    """Runs plain functions off the event loop, in order. To be used from event loops only."""

    def __init__(self, name: str, idle_seconds: float = IDLE_SECONDS) -> None:
        """`name`: of the thread, for debuggers."""
        self._name = name
        self._idle_seconds = idle_seconds
        # Waiting at it takes no Python code: half the time of a hand-over to a thread that waits at a Condition.
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = Lock()  # of the two flags, which callers and the thread change
        self._running = False
        self._closed = False

    async def run(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Return what a function returns, after the calls made before this one. Raises what it raises, WorkerClosed.

        It runs in a copy of the caller's context.

        If the caller is cancelled, it stops waiting; the function still runs to its end.
        """
        from asyncio import get_running_loop  # late: a worker may be made before the event loop is imported

        loop = get_running_loop()
        answer: Future[T] = loop.create_future()
        self._enqueue(_Call(partial(copy_context().run, function, *args), loop, answer))
        return await answer

    def close(self) -> None:
        """End the thread after the calls made so far. Does not wait for it."""
        with self._lock:
            self._closed = True
            if self._running:
                self._calls.put(None)

    def _enqueue(self, call: _Call) -> None:
        with self._lock:
            if self._closed:
                raise WorkerClosed(f"the worker {self._name} is closed")
            if not self._running:
                Thread(target=self._run, name=self._name, daemon=True).start()
                self._running = True
            self._calls.put(call)

    def _run(self) -> None:
        while (call := self._next()) is not None:
            _carry_out(call)
            del call  # its arguments may be large, and the next call may be long in coming

    def _next(self) -> _Call | None:
        """Wait for a call. Returns None, and no thread runs any longer, if none comes."""
        try:
            return self._calls.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                self._running = not self._calls.empty()  # one may have come in the meantime
                return self._calls.get_nowait() if self._running else None


def _carry_out(call: _Call) -> None:
    try:
        result = call.function()
    except BaseException as exc:  # noqa: BLE001 - raised where the answer is awaited
        tell = partial(_set_exception, call.answer, exc)
    else:
        tell = partial(_set_result, call.answer, result)
    try:
        call.loop.call_soon_threadsafe(tell)
    except RuntimeError:  # the event loop is closed: no caller waits
        return


def _set_result(answer: Future[Any], result: object) -> None:
    if not answer.done():  # the caller may have been cancelled
        answer.set_result(result)


def _set_exception(answer: Future[Any], exc: BaseException) -> None:
    if not answer.done():
        answer.set_exception(RuntimeError("StopIteration") if isinstance(exc, StopIteration) else exc)  # as PEP 479
