"""One-shot signals between a test and the fake backend: reach a point, hold there, go on.

A test may run in the backend's event loop or in another thread; both can set a signal and wait for it.
Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Final

import anyio

WAIT_SECONDS: Final = 15.0  # what a test waits before it says that something did not happen, on a loaded machine too
HOLD_SECONDS: Final = 60.0  # what the backend holds at most: a forgotten gate must not outlive its test run


class Signal:
    """Something that happens once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._future: Future[None] = Future()

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._future.done()

    def set(self) -> None:
        """Let it happen; a second time changes nothing. From any thread."""
        with suppress(InvalidStateError):
            self._future.set_result(None)

    async def wait(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait in a task. Raises TimeoutError, which names what did not happen, after `timeout` seconds."""
        loop, woken = asyncio.get_running_loop(), anyio.Event()

        def wake(_: Future[None]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and its tasks with it
                loop.call_soon_threadsafe(woken.set)

        self._future.add_done_callback(wake)
        with anyio.move_on_after(timeout):
            return await woken.wait()
        raise TimeoutError(f"{self._what}: not within {timeout:g} s")

    def wait_blocking(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait in a thread that runs no event loop. Raises TimeoutError like `wait`."""
        try:
            self._future.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"{self._what}: not within {timeout:g} s") from None


class Gate:
    """A place where the backend stops until the test lets it go on.

    `reached` is set when the backend waits there, `abandoned` when the client hung up meanwhile (or the
    backend was stopped). An unreleased gate opens by itself after 60 seconds.
    """

    def __init__(self) -> None:
        self.reached = Signal("the backend reaches the gate")
        self.released = Signal("the gate is released")
        self.abandoned = Signal("the client gives up at the gate")

    def release(self) -> None:
        """Let the backend go on: now, or at once when it gets there. From any thread."""
        self.released.set()

    async def hold(self) -> None:
        """Wait until the gate is released. Called by the backend."""
        self.reached.set()
        try:
            with suppress(TimeoutError):
                await self.released.wait(HOLD_SECONDS)
        except anyio.get_cancelled_exc_class():
            self.abandoned.set()
            raise
