"""Retries of requests to the backend: how many, after what wait, for which failures; and the loop that makes them.

`events.py` has decided what kind of failure it was. `Retries` is pure; `Retrying` gets its sleep and its jitter from
the caller, so that tests need not wait.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio

from appserver.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from appserver.settings import Provider

S = TypeVar("S")
T = TypeVar("T")

FIRST_WAIT = 0.2
"""Seconds before the first retry, on average; each further wait is twice as long."""

MAX_WAIT = 20.0
"""The longest wait that the backend has not asked for: a person has started over by then."""

MAX_TOLD_WAIT = 60.0
"""If the backend asks for a longer wait, the failure is final: an error now is better than a silent minute."""


class Retries:
    """The retries of one kind for one response."""

    def __init__(self, limit: int, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns a number from 0 to 1, which spreads the waits between half and one and a half times."""
        self.limit = limit
        self.made = 0
        self._jitter = jitter

    def wait(self, error: BackendError) -> float:
        """Return the seconds to wait before the next try. Raises the error if there is to be none."""
        told = error.retry_after or 0.0
        if not error.retryable or self.made >= self.limit or told > MAX_TOLD_WAIT:
            raise error
        self.made += 1
        # On top of what the backend asks for: requests that it refused together must not return together.
        backoff: float = min(FIRST_WAIT * 2 ** (self.made - 1), MAX_WAIT)
        return told + backoff * (0.5 + self._jitter())


class RetryNotices(Protocol):
    """What the client is told of failures and retries."""

    def limits(self, headers: Mapping[str, str]) -> None:
        """Tell the rate limits that the headers of a failure hold, if any."""

    def reconnecting(self, failure: BackendError, retries: Retries) -> None:
        """Tell that the backend will be asked again."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Asks the backend until it has answered, or until the provider's settings allow no further retry."""

    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random

    async def answer(
        self,
        provider: Provider,
        notices: RetryNotices,
        send: Callable[[], Awaitable[S]],
        read: Callable[[S], Awaitable[T]],
    ) -> T:
        """Return what `read` makes of the stream that `send` opens.

        Refused requests and broken streams are counted apart. Raises BackendError, and what the two raise beside it.
        """
        requests = Retries(provider.request_max_retries, self.jitter)
        streams = Retries(provider.stream_max_retries, self.jitter)
        while True:
            retries = requests
            try:
                stream = await send()
                retries = streams
                return await read(stream)
            except BackendError as exc:
                notices.limits(exc.headers)
                wait = retries.wait(exc)
                notices.reconnecting(exc, retries)
            await self.sleep(wait)


def told_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which needs `now` in Unix seconds."""
    value = headers.get("retry-after", "").strip()
    try:
        wait = float(value) if value[:1].isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return max(wait, 0.0)
