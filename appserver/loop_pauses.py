"""How long the event loop was busy without coming round: what any other request has had to wait.

The selector tells it: between two calls of its `select`, the loop runs what is ready. That costs no wake-up while the
process is idle. Imports no event loop before it makes one.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from selectors import BaseSelector, SelectorKey

WINDOW_SECONDS = 60

LEAST_SECONDS = 0.001
"""A shorter pause is not noted: nobody notices it either."""


class LoopPauses:
    """The longest pause of each second of the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._measured = False
        self._longest: dict[int, tuple[int, float]] = {}
        """Second of the minute -> second of the clock, longest pause that ended in it."""

    def note(self, ended_at: float, seconds: float) -> None:
        """Note a pause and when it ended, by the clock."""
        second = int(ended_at)
        noted_second, longest = self._longest.get(second % WINDOW_SECONDS, (second, 0.0))
        if noted_second != second or seconds > longest:
            self._longest[second % WINDOW_SECONDS] = (second, seconds)

    def longest(self) -> float | None:
        """Return the longest pause of the last minute in seconds, 0 for less than LEAST_SECONDS. None: not measured."""
        if not self._measured:
            return None
        first = int(self._clock()) - WINDOW_SECONDS
        return max((seconds for second, seconds in tuple(self._longest.values()) if second > first), default=0.0)

    def new_event_loop(self) -> AbstractEventLoop:
        """Make an event loop whose pauses are measured. On Windows they are not: its loop has no selector."""
        import asyncio

        if sys.platform == "win32":
            return asyncio.new_event_loop()
        self._measured = True
        return asyncio.SelectorEventLoop(_measuring_selector(self.note))


def _measuring_selector(note: Callable[[float, float], None]) -> BaseSelector:
    from selectors import DefaultSelector  # late: with the event loop

    monotonic, wait = time.monotonic, DefaultSelector.select

    class MeasuringSelector(DefaultSelector):
        came_back = monotonic()

        def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
            now = monotonic()
            if now - self.came_back > LEAST_SECONDS:
                note(now, now - self.came_back)
            ready = wait(self, timeout)
            self.came_back = monotonic()
            return ready

    return MeasuringSelector()
