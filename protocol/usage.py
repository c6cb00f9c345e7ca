"""What an account may use and has used: rate limits, credits, tokens."""

from typing import Any, NotRequired

from typing_extensions import TypedDict


class RateLimitWindow(TypedDict):
    """usedPercent of a window of windowDurationMins minutes that resets at resetsAt (Unix seconds)."""

    usedPercent: int
    windowDurationMins: int | None
    resetsAt: int | None


class CreditsSnapshot(TypedDict):
    """Credits beyond the plan; the balance is a decimal in a string."""

    hasCredits: bool
    unlimited: bool
    balance: str | None


class IndividualLimit(TypedDict):
    """What a workspace lets one member spend; limit and used are decimals in strings, resetsAt is in Unix seconds."""

    limit: str
    used: str
    remainingPercent: int
    resetsAt: int


class RateLimitSnapshot(TypedDict):
    """How much of one of its limits the account has used. spendControlReached: null where the backend does not say."""

    limitId: str | None
    limitName: str | None
    primary: RateLimitWindow | None
    secondary: RateLimitWindow | None
    credits: CreditsSnapshot | None
    individualLimit: IndividualLimit | None
    spendControlReached: bool | None
    planType: str | None
    rateLimitReachedType: str | None


class ResetCredit(TypedDict):
    """A credit that resets the rate limits. Times are Unix seconds."""

    id: str
    resetType: str
    status: str
    grantedAt: int
    expiresAt: int | None
    title: str | None
    description: str | None


class ResetCredits(TypedDict):
    """How many such credits there are. credits: some or all of them; null if only their number is known."""

    availableCount: int
    credits: list[ResetCredit] | None


class RateLimitsReadParams(TypedDict):
    """excludeResetCreditDetails: tell only how many reset credits there are."""

    excludeResetCreditDetails: NotRequired[bool]


class RateLimitsReadResult(TypedDict):
    """The account's limits: the main one, and all by their ids.

    ordinaryUsageAllowed: what the backend says of the plan's usage; null if it does not, or speaks of another account.
    rateLimitUpsell: the backend's own, as it is.
    """

    rateLimits: RateLimitSnapshot
    rateLimitsByLimitId: dict[str, RateLimitSnapshot]
    rateLimitResetCredits: ResetCredits | None
    ordinaryUsageAllowed: bool | None
    rateLimitUpsell: Any
    accountId: str | None


class RateLimitsUpdatedNotification(TypedDict):
    """The limits as the backend's latest answer told them."""

    rateLimits: RateLimitSnapshot


class UsageReadParams(TypedDict):
    """threadId: what this thread has used, in place of the account's totals."""

    threadId: NotRequired[str | None]


class UsageSummary(TypedDict):
    """The account's totals."""

    lifetimeTokens: int | None
    peakDailyTokens: int | None
    longestRunningTurnSec: int | None
    currentStreakDays: int | None
    longestStreakDays: int | None


class DailyUsage(TypedDict):
    """Tokens of a day; startDate is an ISO 8601 date."""

    startDate: str
    tokens: int


class ThreadUsageGroup(TypedDict):
    """What a thread has used with one model, effort and speed. Credits and dollars are counted in millionths."""

    model: str | None
    reasoningEffort: str | None
    speed: str | None
    estimatedUsageCreditsMicros: int
    netNewInputTokens: int | None
    cachedInputTokens: int | None
    inputTokens: int | None
    outputTokens: int | None
    totalTokens: int | None


class ThreadUsage(TypedDict):
    """What the backend estimates that a thread has used, in all and by group."""

    threadId: str
    estimatedUsageCreditsMicros: int
    estimatedUsageUsdMicros: int | None
    groups: list[ThreadUsageGroup]


class UsageReadResult(TypedDict):
    """What has been used: by the account, or by one thread if it was named. The rest is null."""

    summary: UsageSummary
    dailyUsageBuckets: list[DailyUsage] | None
    threadUsage: ThreadUsage | None
