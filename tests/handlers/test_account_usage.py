"""account/usage/read: the tokens that an account, or a thread, has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

USAGE, PROFILE_PATH = "account/usage/read", "/backend-api/wham/profiles/me"
NOTHING = {
    "lifetimeTokens": None,
    "peakDailyTokens": None,
    "longestRunningTurnSec": None,
    "currentStreakDays": None,
    "longestStreakDays": None,
}


async def test_nobody_has_used_anything(server: ServerFactory) -> None:
    async with server() as peer:
        error = await peer.error(USAGE)
        assert error == {"code": -32600, "message": "codex account authentication required to read token usage"}


async def test_an_api_key_has_no_profile(server: ServerFactory) -> None:
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        error = await peer.error(USAGE, {})
        assert error == {"code": -32600, "message": "chatgpt authentication required to read token usage"}


async def test_the_accounts_totals_are_those_of_its_profile(server: ServerFactory, backend: FakeBackend) -> None:
    token = backend.grant().access_token
    async with server() as peer:
        await peer.login_with_tokens(token)
        assert await peer.result(USAGE) == {
            "summary": {
                "lifetimeTokens": 1234,
                "peakDailyTokens": 1000,
                "longestRunningTurnSec": 90,
                "currentStreakDays": 2,
                "longestStreakDays": 7,
            },
            "dailyUsageBuckets": [
                {"startDate": "2026-01-01", "tokens": 1000},
                {"startDate": "2026-01-02", "tokens": 234},
            ],
            "threadUsage": None,
        }
    [request] = backend.requests.to(PROFILE_PATH)
    assert (request.bearer, request.headers["chatgpt-account-id"]) == (token, "org-1")


@pytest.mark.parametrize("profile", [{}, {"stats": None}, {"stats": {"daily_usage_buckets": None, "peak": "x"}}])
async def test_a_profile_that_tells_nothing_is_empty(
    server: ServerFactory, backend: FakeBackend, profile: dict[str, Any]
) -> None:
    backend.model.profile = profile
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert await peer.result(USAGE) == {"summary": NOTHING, "dailyUsageBuckets": None, "threadUsage": None}


async def test_a_thread_is_asked_for_by_its_id(server: ServerFactory, backend: FakeBackend) -> None:
    group = {"model": "m", "estimated_usage_credits_micros": 5, "input_tokens": 3, "output_tokens": 4}
    backend.model.thread_usage["t1"] = {"estimated_usage_credits_micros": 7, "groups": [group]}
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        found = await peer.result(USAGE, {"threadId": "t1"})
        assert found["summary"] == NOTHING
        usage = found["threadUsage"]
        assert (usage["threadId"], usage["estimatedUsageCreditsMicros"]) == ("t1", 7)
        assert usage["groups"][0]["model"] == "m"
        assert (await peer.result(USAGE, {"threadId": "t2"}))["threadUsage"] is None


async def test_a_refused_token_is_renewed_and_the_read_repeated(server: ServerFactory, backend: FakeBackend) -> None:
    old = backend.grant()
    backend.expire_access_tokens()
    async with server() as peer:
        peer.responders["account/chatgptAuthTokens/refresh"] = lambda _: {
            "result": {"accessToken": backend.grant().access_token}
        }
        await peer.login_with_tokens(old.access_token)
        assert (await peer.result(USAGE))["summary"]["lifetimeTokens"] == 1234
    assert len(backend.requests.to(PROFILE_PATH)) == 2


async def test_a_backend_that_fails_is_told_of(server: ServerFactory, backend: FakeBackend) -> None:
    backend.model.fail_next(500, path=PROFILE_PATH)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert (await peer.error(USAGE))["code"] == -32603


@pytest.mark.parametrize("thread_id", ["\ud800", "\U0001f600", "", "x" * 10_000])
async def test_whatever_a_thread_is_called_its_usage_is_asked_for(
    server: ServerFactory, backend: FakeBackend, thread_id: str
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.result(USAGE, {"threadId": thread_id})
    asked = backend.requests[-1]
    assert (asked.json(), asked.headers["content-type"]) == ({"thread_ids": [thread_id]}, "application/json")
