"""Whether to ask again, what to wait before, and the loop that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import BackendError
from appserver.llm.retry import FIRST_WAIT, MAX_TOLD_WAIT, MAX_WAIT, Retries, Retrying, told_wait
from appserver.settings import Provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

pytestmark = pytest.mark.anyio

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT"""


def failure(retry_after: float | None = None, *, retryable: bool = True) -> BackendError:
    error = BackendError("no", retryable=retryable)
    error.retry_after = retry_after
    return error


def test_each_wait_is_twice_the_one_before() -> None:
    retries = Retries(4, lambda: 0.5)
    assert [retries.wait(failure()) for _ in range(4)] == pytest.approx([0.2, 0.4, 0.8, 1.6])


def test_the_limit_is_kept() -> None:
    retries = Retries(1, lambda: 0.5)
    retries.wait(failure())
    last = failure()
    with pytest.raises(BackendError) as raised:
        retries.wait(last)
    assert raised.value is last


def test_without_retries_the_first_failure_is_final() -> None:
    with pytest.raises(BackendError):
        Retries(0, lambda: 0.5).wait(failure())


def test_what_a_retry_cannot_help_is_final() -> None:
    with pytest.raises(BackendError):
        Retries(5, lambda: 0.5).wait(failure(retryable=False))


def test_the_backends_wait_comes_on_top_within_a_bound() -> None:
    assert Retries(1, lambda: 0.5).wait(failure(MAX_TOLD_WAIT)) == pytest.approx(MAX_TOLD_WAIT + FIRST_WAIT)
    with pytest.raises(BackendError):
        Retries(1, lambda: 0.5).wait(failure(MAX_TOLD_WAIT + 1))


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 100))
def test_waits_are_spread_and_bounded(jitter: float, times: int) -> None:
    retries = Retries(100, lambda: jitter)
    waits = [retries.wait(failure()) for _ in range(times)]
    assert all(FIRST_WAIT / 2 <= wait <= MAX_WAIT * 1.5 for wait in waits)
    assert waits == sorted(waits)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (" 3 ", 3.0),
        ("Sun, 06 Nov 1994 08:49:57 GMT", 20.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("nan", None),
        ("1e400", float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert told_wait({"retry-after": value}, NOW) == seconds


def test_without_the_header_nothing_is_told() -> None:
    assert told_wait({}, NOW) is None


# ---------------------------------------------------------------- the loop


class FlakyBackend:
    """Fails with these errors, one after another, and then answers; hears what the client would be told."""

    def __init__(self, *, refusals: Iterable[BackendError] = (), cuts: Iterable[BackendError] = ()) -> None:
        self.refusals, self.cuts = iter(refusals), iter(cuts)
        self.sent = 0
        self.waits: list[float] = []
        self.told: list[str] = []

    async def answer(self, *, request_retries: int = 4, stream_retries: int = 5) -> str:
        provider = Provider("p", "P", request_max_retries=request_retries, stream_max_retries=stream_retries)
        return await Retrying(self.sleep, lambda: 0.5).answer(provider, self, self.send, self.read)

    async def send(self) -> int:
        self.sent += 1
        for refusal in self.refusals:
            raise refusal
        return self.sent

    async def read(self, stream: int) -> str:
        for cut in self.cuts:
            raise cut
        return f"answer to request {stream}"

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def limits(self, headers: Mapping[str, str]) -> None:
        self.told.append(f"limits {dict(headers)}")

    def reconnecting(self, failure: BackendError, retries: Retries) -> None:
        self.told.append(f"retry {retries.made} of {retries.limit}")


async def test_the_backend_is_asked_until_it_has_answered() -> None:
    backend = FlakyBackend(refusals=[failure(), failure()], cuts=[failure()])
    assert await backend.answer() == "answer to request 4"
    assert backend.waits == pytest.approx([0.2, 0.4, 0.2])


async def test_refused_requests_and_broken_streams_are_counted_apart() -> None:
    backend = FlakyBackend(refusals=[failure()], cuts=[failure()])
    assert await backend.answer(request_retries=1, stream_retries=1) == "answer to request 3"
    assert [told for told in backend.told if told.startswith("retry")] == ["retry 1 of 1", "retry 1 of 1"]


async def test_the_last_failure_is_raised_after_its_limits_were_told() -> None:
    first, last = failure(), failure()
    last.headers = {"x-codex-plan": "pro"}
    backend = FlakyBackend(refusals=[first, last])
    with pytest.raises(BackendError) as raised:
        await backend.answer(request_retries=1)
    assert raised.value is last
    assert backend.told == ["limits {}", "retry 1 of 1", "limits {'x-codex-plan': 'pro'}"]
