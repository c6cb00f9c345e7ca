"""Rate limits, from headers and from the usage endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.llm.limits import limits_in_headers, limits_in_usage

PRIMARY = {
    "x-codex-primary-used-percent": "12.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": "1893456000",
}


def test_no_headers_are_no_limits() -> None:
    assert limits_in_headers({"content-type": "text/event-stream"}) is None


def test_a_window_is_read_and_its_percentage_rounded_half_up() -> None:
    limits = limits_in_headers(PRIMARY)
    assert limits is not None
    assert limits["primary"] == {"usedPercent": 13, "windowDurationMins": 300, "resetsAt": 1_893_456_000}
    assert limits["secondary"] is None


@pytest.mark.parametrize("value", ["", "many", "nan", "inf"])
def test_a_malformed_percentage_is_no_window(value: str) -> None:
    assert limits_in_headers({"x-codex-primary-used-percent": value}) is None


def test_a_window_may_be_told_in_part() -> None:
    limits = limits_in_headers({"x-codex-secondary-used-percent": "5", "x-codex-secondary-reset-at": "x"})
    assert limits is not None
    assert limits["secondary"] == {"usedPercent": 5, "windowDurationMins": None, "resetsAt": None}


def test_credits_are_read() -> None:
    headers = {"x-codex-credits-has-credits": "True", "x-codex-credits-balance": "9.5"}
    limits = limits_in_headers(headers)
    assert limits is not None
    assert limits["credits"] == {"hasCredits": True, "unlimited": False, "balance": "9.5"}


def test_the_usage_endpoint_counts_windows_in_seconds() -> None:
    window = {"used_percent": 42, "limit_window_seconds": 3601, "reset_at": 7}
    limits = limits_in_usage({"rate_limit": {"primary_window": window}}, "pro")
    assert limits["primary"] == {"usedPercent": 42, "windowDurationMins": 61, "resetsAt": 7}
    assert limits["planType"] == "pro"


@pytest.mark.parametrize(
    "usage",
    [{}, {"rate_limit": None}, {"rate_limit": []}, {"rate_limit": {"primary_window": {"used_percent": True}}}],
)
def test_a_malformed_usage_is_empty(usage: dict[str, Any]) -> None:
    assert limits_in_usage(usage, None)["primary"] is None


def test_the_usage_endpoint_tells_credits() -> None:
    found = limits_in_usage({"credits": {"has_credits": False, "unlimited": True, "balance": 3}}, None)["credits"]
    assert found == {"hasCredits": False, "unlimited": True, "balance": "3"}
