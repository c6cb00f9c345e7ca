"""Reads the usage of an account or a thread from the backend's responses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.llm.members import integer, member, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.usage import DailyUsage, ThreadUsage, ThreadUsageGroup, UsageReadResult, UsageSummary


def usage_in_profile(profile: Mapping[str, Any]) -> UsageReadResult:
    """Read the answer of profiles/me."""
    stats = member(profile, "stats")
    return {"summary": _summary(stats), "dailyUsageBuckets": _days(stats), "threadUsage": None}


def usage_of_thread(thread_id: str, answer: Mapping[str, Any]) -> UsageReadResult:
    """Read the answer of usage/thread_usage/query. threadUsage is null where it says nothing of the thread."""
    threads = objects(answer, "threads") or []
    found = next((one for one in threads if one.get("thread_id") == thread_id), None)
    usage = None if found is None else _thread(thread_id, found)
    return {"summary": _summary({}), "dailyUsageBuckets": None, "threadUsage": usage}


def _summary(stats: Mapping[str, Any]) -> UsageSummary:
    return {
        "lifetimeTokens": integer(stats, "lifetime_tokens"),
        "peakDailyTokens": integer(stats, "peak_daily_tokens"),
        "longestRunningTurnSec": integer(stats, "longest_running_turn_sec"),
        "currentStreakDays": integer(stats, "current_streak_days"),
        "longestStreakDays": integer(stats, "longest_streak_days"),
    }


def _days(stats: Mapping[str, Any]) -> list[DailyUsage] | None:
    days = objects(stats, "daily_usage_buckets")
    if days is None:
        return None
    found: list[DailyUsage] = []
    for one in days:
        date, tokens = text(one, "start_date"), integer(one, "tokens")
        if date is not None and tokens is not None:
            found.append({"startDate": date, "tokens": tokens})
    return found


def _thread(thread_id: str, usage: Mapping[str, Any]) -> ThreadUsage | None:
    estimate = integer(usage, "estimated_usage_credits_micros")
    if estimate is None:
        return None
    return {
        "threadId": thread_id,
        "estimatedUsageCreditsMicros": estimate,
        "estimatedUsageUsdMicros": integer(usage, "estimated_usage_usd_micros"),
        "groups": [_group(one) for one in objects(usage, "groups") or []],
    }


def _group(group: Mapping[str, Any]) -> ThreadUsageGroup:
    return {
        "model": text(group, "model"),
        "reasoningEffort": text(group, "reasoning_effort"),
        "speed": text(group, "speed"),
        "estimatedUsageCreditsMicros": integer(group, "estimated_usage_credits_micros") or 0,
        "netNewInputTokens": integer(group, "net_new_input_tokens"),
        "cachedInputTokens": integer(group, "cached_input_tokens"),
        "inputTokens": integer(group, "input_tokens"),
        "outputTokens": integer(group, "output_tokens"),
        "totalTokens": integer(group, "total_tokens"),
    }
