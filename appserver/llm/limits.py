"""Rate limits as the backend tells them: in the headers of every answer, and at the usage endpoint.

Pure. Percentages are rounded half up, as the reference does; what is missing or malformed is None.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.account import CreditsSnapshot, RateLimitSnapshot, RateLimitWindow

LIMIT_ID = "codex"


def limits_in_headers(headers: Mapping[str, str]) -> RateLimitSnapshot | None:
    """Read x-codex-* headers. None if there are none."""
    primary, secondary = _window(headers, "primary"), _window(headers, "secondary")
    credits_left = _credits(headers)
    if primary is None and secondary is None and credits_left is None:
        return None
    return _snapshot(primary, secondary, credits_left, None)


def limits_in_usage(usage: Mapping[str, Any], plan: str | None) -> RateLimitSnapshot:
    """Read the answer of the usage endpoint."""
    limits = _object(usage.get("rate_limit"))
    primary = _usage_window(_object(limits.get("primary_window")))
    secondary = _usage_window(_object(limits.get("secondary_window")))
    return _snapshot(primary, secondary, _usage_credits(_object(usage.get("credits"))), plan)


def _snapshot(
    primary: RateLimitWindow | None,
    secondary: RateLimitWindow | None,
    credits_left: CreditsSnapshot | None,
    plan: str | None,
) -> RateLimitSnapshot:
    return {
        "limitId": LIMIT_ID,
        "limitName": None,
        "primary": primary,
        "secondary": secondary,
        "credits": credits_left,
        "planType": plan,
        "rateLimitReachedType": None,
    }


def _window(headers: Mapping[str, str], name: str) -> RateLimitWindow | None:
    used = _number(headers.get(f"x-codex-{name}-used-percent"))
    if used is None:
        return None
    minutes = _number(headers.get(f"x-codex-{name}-window-minutes"))
    resets_at = _number(headers.get(f"x-codex-{name}-reset-at"))
    return {
        "usedPercent": _half_up(used),
        "windowDurationMins": None if minutes is None else int(minutes),
        "resetsAt": None if resets_at is None else int(resets_at),
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
    used = _number(window.get("used_percent"))
    if used is None:
        return None
    seconds, resets_at = _number(window.get("limit_window_seconds")), _number(window.get("reset_at"))
    return {
        "usedPercent": _half_up(used),
        "windowDurationMins": None if seconds is None else math.ceil(seconds / 60),
        "resetsAt": None if resets_at is None else int(resets_at),
    }


def _usage_credits(members: Mapping[str, Any]) -> CreditsSnapshot | None:
    if not isinstance(members.get("has_credits"), bool):
        return None
    balance = members.get("balance")
    return {
        "hasCredits": members["has_credits"],
        "unlimited": members.get("unlimited") is True,
        "balance": None if balance is None else str(balance),
    }


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
