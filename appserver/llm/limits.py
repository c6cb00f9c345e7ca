"""Rate limits, credits and spending limits, from the headers of a model's answer and from the usage endpoint. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from appserver.llm.members import flag, integer, member, number, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.usage import (
        CreditsSnapshot,
        IndividualLimit,
        RateLimitSnapshot,
        RateLimitWindow,
        ResetCredit,
        ResetCredits,
    )

LIMIT_ID = "codex"
"""The id of an account's main limit."""

_STATUSES = ("available", "redeeming", "redeemed")


def limits_in_headers(headers: Mapping[str, str]) -> RateLimitSnapshot | None:
    """Read x-codex-* headers. None if there are none."""
    primary, secondary = _window(headers, "primary"), _window(headers, "secondary")
    credits_left = _credits(headers)
    if primary is None and secondary is None and credits_left is None:
        return None
    return {**_snapshot(LIMIT_ID, primary, secondary, None), "credits": credits_left}


def limits_in_usage(usage: Mapping[str, Any], plan: str | None) -> RateLimitSnapshot:
    """Read the account's main limit from the answer of the usage endpoint."""
    spending, reached = member(usage, "spend_control"), member(usage, "rate_limit_reached_type")
    return {
        **_usage_snapshot(LIMIT_ID, member(usage, "rate_limit"), plan),
        "credits": _usage_credits(member(usage, "credits")),
        "individualLimit": _individual_limit(member(spending, "individual_limit")),
        "spendControlReached": flag(spending, "reached"),
        "rateLimitReachedType": text(reached, "type"),
    }


def limits_by_id(usage: Mapping[str, Any], plan: str | None) -> dict[str, RateLimitSnapshot]:
    """Read all limits: the main one and those of metered features."""
    found = {LIMIT_ID: limits_in_usage(usage, plan)}
    for one in objects(usage, "additional_rate_limits") or []:
        limit_id = text(one, "metered_feature")
        if limit_id is not None:
            snapshot = _usage_snapshot(limit_id, member(one, "rate_limit"), plan)
            found[limit_id] = {**snapshot, "limitName": text(one, "limit_name")}
    return found


def reset_credits(usage: Mapping[str, Any], details: Mapping[str, Any] | None) -> ResetCredits | None:
    """Read the credits that reset limits: their number from the usage, or all from the endpoint that tells them."""
    listed = None if details is None else objects(details, "credits")
    counted = integer(details or {}, "available_count")
    if counted is None or listed is None:
        counted, listed = integer(member(usage, "rate_limit_reset_credits"), "available_count"), None
    if counted is None:
        return None
    found = None if listed is None else [credit for one in listed if (credit := _reset_credit(one)) is not None]
    return {"availableCount": counted, "credits": found}


def ordinary_usage_allowed(usage: Mapping[str, Any]) -> bool | None:
    """Read whether the plan's own usage is allowed, beside any credits."""
    return flag(member(usage, "rate_limit"), "allowed")


def _snapshot(
    limit_id: str, primary: RateLimitWindow | None, secondary: RateLimitWindow | None, plan: str | None
) -> RateLimitSnapshot:
    return {
        "limitId": limit_id,
        "limitName": None,
        "primary": primary,
        "secondary": secondary,
        "credits": None,
        "individualLimit": None,
        "spendControlReached": None,
        "planType": plan,
        "rateLimitReachedType": None,
    }


def _usage_snapshot(limit_id: str, limit: Mapping[str, Any], plan: str | None) -> RateLimitSnapshot:
    primary, secondary = member(limit, "primary_window"), member(limit, "secondary_window")
    return _snapshot(limit_id, _usage_window(primary), _usage_window(secondary), plan)


def _window(headers: Mapping[str, str], name: str) -> RateLimitWindow | None:
    used = number(headers.get(f"x-codex-{name}-used-percent"))
    if used is None:
        return None
    return {
        "usedPercent": _half_up(used),
        "windowDurationMins": integer(headers, f"x-codex-{name}-window-minutes"),
        "resetsAt": integer(headers, f"x-codex-{name}-reset-at"),
    }


def _credits(headers: Mapping[str, str]) -> CreditsSnapshot | None:
    has_credits = headers.get("x-codex-credits-has-credits")
    if has_credits is None:
        return None
    return {
        "hasCredits": has_credits.lower() == "true",
        "unlimited": headers.get("x-codex-credits-unlimited", "").lower() == "true",
        "balance": headers.get("x-codex-credits-balance") or None,
    }


def _usage_window(window: Mapping[str, Any]) -> RateLimitWindow | None:
    used, seconds = number(window.get("used_percent")), number(window.get("limit_window_seconds"))
    if used is None:
        return None
    return {
        "usedPercent": _half_up(used),
        "windowDurationMins": None if seconds is None else math.ceil(seconds / 60),
        "resetsAt": integer(window, "reset_at"),
    }


def _usage_credits(members: Mapping[str, Any]) -> CreditsSnapshot | None:
    has_credits, balance = flag(members, "has_credits"), members.get("balance")
    if has_credits is None:
        return None
    return {
        "hasCredits": has_credits,
        "unlimited": flag(members, "unlimited") or False,
        "balance": None if balance is None else str(balance),
    }


def _individual_limit(members: Mapping[str, Any]) -> IndividualLimit | None:
    limit, used = members.get("limit"), members.get("used")
    remaining, resets_at = number(members.get("remaining_percent")), integer(members, "reset_at")
    if limit is None or used is None or remaining is None or resets_at is None:
        return None
    return {"limit": str(limit), "used": str(used), "remainingPercent": _half_up(remaining), "resetsAt": resets_at}


def _reset_credit(members: Mapping[str, Any]) -> ResetCredit | None:
    credit_id, granted_at = text(members, "id"), _moment(members, "granted_at")
    if credit_id is None or granted_at is None:
        return None
    status = text(members, "status")
    return {
        "id": credit_id,
        "resetType": "codexRateLimits" if members.get("reset_type") == "codex_rate_limits" else "unknown",
        "status": status if status in _STATUSES else "unknown",
        "grantedAt": granted_at,
        "expiresAt": _moment(members, "expires_at"),
        "title": text(members, "title"),
        "description": text(members, "description"),
    }


def _moment(members: Mapping[str, Any], name: str) -> int | None:
    """Read an RFC 3339 time as Unix seconds; one without an offset is UTC."""
    try:
        found = datetime.fromisoformat(text(members, name) or "")
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)
