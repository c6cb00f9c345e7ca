"""Classes of protocol/usage.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Any

from appserver.client.wire import Data


@dataclass(frozen=True)
class RateLimitWindow(Data):
    """used_percent of a window of window_duration_mins minutes that resets at resets_at (Unix seconds)."""

    used_percent: int
    window_duration_mins: int | None
    resets_at: int | None


@dataclass(frozen=True)
class CreditsSnapshot(Data):
    """Credits beyond the plan; the balance is a decimal in a string."""

    has_credits: bool
    unlimited: bool
    balance: str | None


@dataclass(frozen=True)
class IndividualLimit(Data):
    """What a workspace lets one member spend; limit and used are decimals in strings, resets_at is in Unix seconds."""

    limit: str
    used: str
    remaining_percent: int
    resets_at: int


@dataclass(frozen=True)
class RateLimitSnapshot(Data):
    """How much of one of its limits the account has used. spend_control_reached: null where the backend does not
    say.
    """

    limit_id: str | None
    limit_name: str | None
    primary: RateLimitWindow | None
    secondary: RateLimitWindow | None
    credits: CreditsSnapshot | None
    individual_limit: IndividualLimit | None
    spend_control_reached: bool | None
    plan_type: str | None
    rate_limit_reached_type: str | None


@dataclass(frozen=True)
class ResetCredit(Data):
    """A credit that resets the rate limits. Times are Unix seconds."""

    id: str
    reset_type: str
    status: str
    granted_at: int
    expires_at: int | None
    title: str | None
    description: str | None


@dataclass(frozen=True)
class ResetCredits(Data):
    """How many such credits there are. credits: some or all of them; null if only their number is known."""

    available_count: int
    credits: list[ResetCredit] | None


@dataclass(frozen=True)
class RateLimitsReadResult(Data):
    """The account's limits: the main one, and all by their ids.

    ordinary_usage_allowed: what the backend says of the plan's usage; null if it does not, or speaks of another
    account. rate_limit_upsell: the backend's own, as it is.
    """

    rate_limits: RateLimitSnapshot
    rate_limits_by_limit_id: dict[str, RateLimitSnapshot]
    rate_limit_reset_credits: ResetCredits | None
    ordinary_usage_allowed: bool | None
    rate_limit_upsell: Any
    account_id: str | None


@dataclass(frozen=True)
class UsageSummary(Data):
    """The account's totals."""

    lifetime_tokens: int | None
    peak_daily_tokens: int | None
    longest_running_turn_sec: int | None
    current_streak_days: int | None
    longest_streak_days: int | None


@dataclass(frozen=True)
class DailyUsage(Data):
    """Tokens of a day; start_date is an ISO 8601 date."""

    start_date: str
    tokens: int


@dataclass(frozen=True)
class ThreadUsageGroup(Data):
    """What a thread has used with one model, effort and speed. Credits and dollars are counted in millionths."""

    model: str | None
    reasoning_effort: str | None
    speed: str | None
    estimated_usage_credits_micros: int
    net_new_input_tokens: int | None
    cached_input_tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None


@dataclass(frozen=True)
class ThreadUsage(Data):
    """What the backend estimates that a thread has used, in all and by group."""

    thread_id: str
    estimated_usage_credits_micros: int
    estimated_usage_usd_micros: int | None
    groups: list[ThreadUsageGroup]


@dataclass(frozen=True)
class UsageReadResult(Data):
    """What has been used: by the account, or by one thread if it was named. The rest is null."""

    summary: UsageSummary
    daily_usage_buckets: list[DailyUsage] | None
    thread_usage: ThreadUsage | None
