"""When to ask the backend again: how often, after what wait, and what no wait can help.

Pure policy. Whoever retries does the waiting, so a test needs neither clock nor dice; what kind of failure it was has
been decided in `events.py`.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appserver.errors import BackendError

FIRST_WAIT = 0.2
"""Seconds before the first retry, on average; each further wait is twice as long."""

MAX_WAIT = 20.0
"""No wait of our own choosing is longer: by then a person has decided to try again themselves."""

MAX_TOLD_WAIT = 60.0
"""A backend that asks for more than this gets no retry: an error now is of more use than a silent minute."""


class Retries:
    """The retries of one kind within one answer of the model."""

    def __init__(self, limit: int, dice: Callable[[], float]) -> None:
        self.limit = limit
        self.made = 0
        self._dice = dice

    def wait(self, error: BackendError) -> float:
        """Return the seconds to wait before asking again. Raises the error if that is pointless or too late."""
        told = error.retry_after or 0.0
        if not error.retryable or self.made >= self.limit or told > MAX_TOLD_WAIT:
            raise error
        self.made += 1
        # On top of what the backend asks for: those that it turned away together must not come back together.
        backoff: float = min(FIRST_WAIT * 2 ** (self.made - 1), MAX_WAIT)
        return told + backoff * (0.5 + self._dice())


def told_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which needs `now` in Unix seconds."""
    value = headers.get("retry-after", "").strip()
    try:
        wait = float(value) if value[:1].isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return max(wait, 0.0)
