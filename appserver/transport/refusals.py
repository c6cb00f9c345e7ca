"""Telling of clients that are refused, without letting them fill the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_SECONDS = 10.0
"""Refusals for one reason are logged no more often than this: they cost the client nothing, and the log has a disk."""


class Refusals:
    """Logs why clients are refused: each reason once in a while, with the number of refusals."""

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`where`: what the clients have connected to, for the log."""
        self._where = where
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._logged: dict[str, float] = {}

    def note(self, reason: str) -> None:
        """Log a refusal. `reason`: one of a few; it holds nothing that the client has sent."""
        count = self._counts[reason] = self._counts.get(reason, 0) + 1
        now = self._clock()
        if now - self._logged.get(reason, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._logged[reason] = now
            self._counts[reason] = 0
            warn(f"{self._where}: refused {'a client' if count == 1 else f'{count} clients'}: {reason}")
