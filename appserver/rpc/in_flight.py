"""The requests in flight: their bound, and the wait until there are none.

Counts the awaitables that handlers have returned. The task that awaits one reports its end.
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
"""Requests in flight at once; a further one is refused as overload."""

MANY_IN_FLIGHT = MAX_IN_FLIGHT // 2
"""Requests in flight above which reading slows down."""

PAUSE_SECONDS = 0.005
"""How long reading waits for one of many requests to end. Those that need only the store of threads take less; if none
ends, they wait for something slower, and interrupts behind them are not to be held up."""

RETRY_AFTER_MS = 250
"""When a refused client may try again: after about the time that a request to a backend takes."""


class InFlight:
    """The awaitables of requests in flight, and the batches that have not been answered."""

    def __init__(self) -> None:
        self.waiting: set[Awaitable[object]] = set()
        """Read by the dispatcher, too: a call would be made for every message."""
        self._batches = 0
        self._idle: Event | None = None
        self._ended: Event | None = None

    @property
    def requests(self) -> int:
        """How many requests wait."""
        return len(self.waiting)

    def admit(self, outcome: Awaitable[object]) -> None:
        """Count an awaitable. Raises Overloaded for a coroutine above the bound, and closes it."""
        if len(self.waiting) >= MAX_IN_FLIGHT and isinstance(outcome, Coroutine):
            outcome.close()  # it has not begun, so nothing is lost
            raise Overloaded(RETRY_AFTER_MS)
        self.waiting.add(outcome)

    def done(self, outcome: Awaitable[object]) -> None:
        """Stop counting an awaitable: it has ended, or was cancelled before it started."""
        self.waiting.discard(outcome)
        _close(outcome)
        if self._ended is not None:
            self._ended.set()
        self._tell_if_idle()

    async def pause(self) -> None:
        """Wait while many requests are in flight and one after the other ends: so the next ones are not refused."""
        from anyio import Event, move_on_after

        while len(self.waiting) > MANY_IN_FLIGHT:
            self._ended = Event()
            with move_on_after(PAUSE_SECONDS) as waiting:
                await self._ended.wait()
            if waiting.cancelled_caught:
                return

    def batch_begins(self) -> None:
        """Count a batch until it has been answered. Its requests in flight are counted, too."""
        self._batches += 1

    def batch_ends(self) -> None:
        self._batches -= 1
        self._tell_if_idle()

    async def idle(self) -> None:
        from anyio import Event

        if self.waiting or self._batches:
            self._idle = Event()
            await self._idle.wait()

    def close(self) -> None:
        """Close the awaitables that are left: the tasks that were to await them never started."""
        for outcome in self.waiting:
            _close(outcome)
        self.waiting.clear()

    def _tell_if_idle(self) -> None:
        if self._idle is not None and not self.waiting and not self._batches:
            self._idle.set()


def _close(outcome: Awaitable[object]) -> None:
    """Close a coroutine, so that Python does not warn that it was never awaited. No-op for one that has ended."""
    if isinstance(outcome, Coroutine | Accepted):
        outcome.close()
