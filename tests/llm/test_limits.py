"""Rate limits, from headers and from the usage endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.llm.limits import limits_by_id, limits_in_headers, limits_in_usage, reset_credits

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


@pytest.mark.parametrize("value", ["", "many", "nan", "inf", "1e300", "9" * 400])
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
    [
        {},
        {"rate_limit": None},
        {"rate_limit": []},
        {"rate_limit": {"primary_window": {"used_percent": True}}},
        {"rate_limit": {"primary_window": {"used_percent": 10**400}}},
    ],
)
def test_a_malformed_usage_is_empty(usage: dict[str, Any]) -> None:
    assert limits_in_usage(usage, None)["primary"] is None


def test_the_usage_endpoint_tells_credits() -> None:
    found = limits_in_usage({"credits": {"has_credits": False, "unlimited": True, "balance": 3}}, None)["credits"]
    assert found == {"hasCredits": False, "unlimited": True, "balance": "3"}


def test_the_usage_endpoint_tells_what_a_workspace_lets_a_member_spend() -> None:
    limit = {"limit": "10", "used": 3.5, "remaining_percent": 65, "reset_at": 7, "source": "workspace"}
    found = limits_in_usage({"spend_control": {"reached": True, "individual_limit": limit}}, None)
    assert found["individualLimit"] == {"limit": "10", "used": "3.5", "remainingPercent": 65, "resetsAt": 7}
    assert found["spendControlReached"] is True


@pytest.mark.parametrize("limit", [None, [], {}, {"limit": "10", "used": "1", "remaining_percent": 5}])
def test_a_spending_limit_that_is_told_in_part_is_none(limit: object) -> None:
    found = limits_in_usage({"spend_control": {"reached": "yes", "individual_limit": limit}}, None)
    assert (found["individualLimit"], found["spendControlReached"]) == (None, None)


def test_the_usage_endpoint_tells_which_limit_was_reached() -> None:
    reached = {"rate_limit_reached_type": {"type": "workspace_owner_credits_depleted"}}
    assert limits_in_usage(reached, None)["rateLimitReachedType"] == "workspace_owner_credits_depleted"
    assert limits_in_usage({"rate_limit_reached_type": "x"}, None)["rateLimitReachedType"] is None


def test_limits_of_metered_features_stand_beside_the_main_one() -> None:
    window = {"used_percent": 1, "limit_window_seconds": 60, "reset_at": 7}
    more = {"limit_name": "Small", "metered_feature": "small", "rate_limit": {"primary_window": window}}
    found = limits_by_id({"additional_rate_limits": [more, {"limit_name": "no id"}, None]}, "pro")
    assert list(found) == ["codex", "small"]
    assert (found["small"]["limitId"], found["small"]["limitName"]) == ("small", "Small")
    assert found["small"]["primary"] == {"usedPercent": 1, "windowDurationMins": 1, "resetsAt": 7}
    assert (found["codex"]["limitName"], found["small"]["planType"]) == (None, "pro")


def test_reset_credits_are_counted_where_their_details_are_not_known() -> None:
    usage = {"rate_limit_reset_credits": {"available_count": 2}}
    assert reset_credits(usage, None) == {"availableCount": 2, "credits": None}
    assert reset_credits(usage, {"credits": "none"}) == {"availableCount": 2, "credits": None}
    assert reset_credits({}, None) is None


def test_reset_credits_are_told_with_their_details() -> None:
    one = {"id": "c1", "reset_type": "codex_rate_limits", "status": "available", "granted_at": "2026-01-01T00:00:00Z"}
    other = {"id": "c2", "reset_type": "all", "status": "odd", "granted_at": "2026-01-01", "expires_at": "never"}
    found = reset_credits({}, {"available_count": 3, "credits": [one, other, {"id": "c3"}]})
    assert found is not None
    assert found["availableCount"] == 3
    assert found["credits"] == [
        {
            "id": "c1",
            "resetType": "codexRateLimits",
            "status": "available",
            "grantedAt": 1_767_225_600,
            "expiresAt": None,
            "title": None,
            "description": None,
        },
        {
            "id": "c2",
            "resetType": "unknown",
            "status": "unknown",
            "grantedAt": 1_767_225_600,
            "expiresAt": None,
            "title": None,
            "description": None,
        },
    ]


BACKENDS_ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "rate_limit",
                    "primary_window",
                    "used_percent",
                    "limit_window_seconds",
                    "reset_at",
                    "credits",
                    "has_credits",
                    "spend_control",
                    "individual_limit",
                    "limit",
                    "additional_rate_limits",
                    "metered_feature",
                    "rate_limit_reset_credits",
                    "available_count",
                    "granted_at",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
)


@given(BACKENDS_ANSWERS, BACKENDS_ANSWERS)
def test_nothing_that_a_backend_answers_breaks_the_reading(usage: object, details: object) -> None:
    answer = usage if isinstance(usage, dict) else {"rate_limit": usage}
    assert "codex" in limits_by_id(answer, None)
    reset_credits(answer, details if isinstance(details, dict) else {"credits": details, "available_count": 1})
