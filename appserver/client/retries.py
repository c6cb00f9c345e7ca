"""Which requests may be sent again, and when. Pure but for jitter."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from protocol import error_codes

if TYPE_CHECKING:
    from appserver.client.errors import ServerError

REFUSALS: Final = 8
"""How often a request may be refused for load before that is raised: with the delays below, about 5 seconds."""

SHORTEST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 2.0
"""In seconds."""

_REPEATABLE: Final = ("/read", "/list", "/resume")
"""Requests that only read, or that are the same when they are carried out twice."""


def is_repeatable(method: str) -> bool:
    """Whether a request may be sent again if it is not known to have been carried out."""
    return method.endswith(_REPEATABLE)


def delay_after(error: ServerError, refusals: int) -> float | None:
    """Return after how many seconds a refused request may be sent again; None: it is not to be.

    A request that is refused for load has not been carried out, so any may. The server tells the shortest delay;
    it is doubled each time, and drawn at random from the upper half, so that clients do not come back together.
    """
    if error.code != error_codes.SERVER_OVERLOADED or refusals > REFUSALS:
        return None
    told = error.data.get("retryAfterMs") if isinstance(error.data, dict) else None
    first = max(told / 1000 if isinstance(told, int | float) else 0.0, SHORTEST_DELAY)
    return min(first * 2.0 ** (refusals - 1), LONGEST_DELAY) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
