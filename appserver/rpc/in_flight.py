"""The requests that wait for something: how many there may be, and until when.

What is counted is what handlers have returned to be awaited. Whoever awaits it reports the end.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from appserver.errors import Overloaded
from appserver.rpc.router import Accepted

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from anyio import Event

MAX_IN_FLIGHT = 512
"""Requests that may wait at once; a further one is refused as overload."""

RETRY_AFTER_MS = 250
"""What a refused client is told to wait: about what a request that waits for a backend takes."""


class InFlight:
    """The awaitables of the requests that wait, and the batches that are not answered yet."""

    def __init__(self) -> None:
        self._waiting: set[Awaitable[object]] = set()
        self._batches = 0
        self._idle: Event | None = None

    def admit(self, outcome: Awaitable[object]) -> None:
        """Count what a handler has returned. Raises Overloaded where it is a coroutine too many, which is closed."""
        if len(self._waiting) >= MAX_IN_FLIGHT and isinstance(outcome, Coroutine):
            outcome.close()  # it has not begun, so nothing is lost
            raise Overloaded(RETRY_AFTER_MS)
        self._waiting.add(outcome)

    def done(self, outcome: Awaitable[object]) -> None:
        """Forget what was admitted: it has come to its end, or was cancelled before it could begin."""
        self._waiting.discard(outcome)
        _close(outcome)
        self._tell_if_idle()

    def batch_begins(self) -> None:
        """Count a batch until it has been answered. Those of its requests that wait count besides."""
        self._batches += 1

    def batch_ends(self) -> None:
        self._batches -= 1
        self._tell_if_idle()

    async def idle(self) -> None:
        from anyio import Event

        if self._waiting or self._batches:
            self._idle = Event()
            await self._idle.wait()

    def close(self) -> None:
        """Give up what is left: the task that was to await it never started."""
        for outcome in self._waiting:
            _close(outcome)
        self._waiting.clear()

    def _tell_if_idle(self) -> None:
        if self._idle is not None and not self._waiting and not self._batches:
            self._idle.set()


def _close(outcome: Awaitable[object]) -> None:
    """Close a coroutine, lest Python complains that it was never awaited. One that has ended stays as it is."""
    if isinstance(outcome, Coroutine | Accepted):
        outcome.close()
