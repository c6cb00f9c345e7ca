"""Whether to ask again, and what to wait before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import BackendError
from appserver.llm.retry import FIRST_WAIT, MAX_TOLD_WAIT, MAX_WAIT, Retries, told_wait

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
def test_waits_are_spread_and_bounded(dice: float, times: int) -> None:
    retries = Retries(100, lambda: dice)
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
