"""account/rateLimits/read: whose limits, and the 401 loop that it shares with turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.handlers.accounts import store_login

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

LIMITS, USAGE_PATH = "account/rateLimits/read", "/backend-api/wham/usage"
RESET_CREDITS_PATH = "/backend-api/wham/rate-limit-reset-credits"
REFRESH = "account/chatgptAuthTokens/refresh"
SNAPSHOT = {
    "limitId": "codex",
    "limitName": None,
    "primary": {"usedPercent": 42, "windowDurationMins": 300, "resetsAt": 1_893_456_000},
    "secondary": {"usedPercent": 5, "windowDurationMins": 10_080, "resetsAt": 1_893_888_000},
    "credits": None,
    "individualLimit": None,
    "spendControlReached": None,
    "planType": "pro",
    "rateLimitReachedType": None,
}


async def test_nobody_has_no_limits(server: ServerFactory) -> None:
    async with server() as peer:
        error = await peer.error(LIMITS)
        assert error == {"code": -32600, "message": "codex account authentication required to read rate limits"}


async def test_an_api_key_has_no_limits(server: ServerFactory) -> None:
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        error = await peer.error(LIMITS)
        assert error == {"code": -32600, "message": "chatgpt authentication required to read rate limits"}


async def test_the_limits_are_told_as_the_reference_tells_them(server: ServerFactory, backend: FakeBackend) -> None:
    token = backend.grant().access_token
    async with server() as peer:
        await peer.login_with_tokens(token)
        assert await peer.result(LIMITS) == {
            "rateLimits": SNAPSHOT,
            "rateLimitsByLimitId": {"codex": SNAPSHOT},
            "rateLimitResetCredits": None,
            "ordinaryUsageAllowed": True,
            "rateLimitUpsell": None,
            "accountId": "org-1",
        }
    [request] = backend.requests.to(USAGE_PATH)
    assert request.bearer == token
    assert request.headers["chatgpt-account-id"] == "org-1"


async def test_an_unknown_plan_in_the_limits_reads_as_unknown(server: ServerFactory, backend: FakeBackend) -> None:
    backend.model.usage["plan_type"] = "galactic"
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert (await peer.result(LIMITS))["rateLimits"]["planType"] == "unknown"


async def test_a_refused_managed_token_is_refreshed_and_the_read_repeated(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    async with server() as peer:
        assert (await peer.result(LIMITS))["rateLimits"] == SNAPSHOT
    assert len(backend.requests.to(USAGE_PATH)) == 2
    assert len(backend.requests.to("/oauth/token")) == 1


async def test_refused_tokens_of_the_parent_are_renewed_and_the_read_repeated(
    server: ServerFactory, backend: FakeBackend
) -> None:
    old = backend.grant()
    backend.expire_access_tokens()
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"result": {"accessToken": backend.grant().access_token}}
        await peer.login_with_tokens(old.access_token)
        assert (await peer.result(LIMITS))["rateLimits"] == SNAPSHOT
        assert len(peer.requests) == 1


async def test_a_second_refusal_fails_the_read(server: ServerFactory, backend: FakeBackend) -> None:
    old, dead = backend.grant(), backend.grant()
    backend.expire_access_tokens()
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"result": {"accessToken": dead.access_token}}
        await peer.login_with_tokens(old.access_token)
        assert "message" in await peer.error(LIMITS)
        assert len(peer.requests) == 1
    assert len(backend.requests.to(USAGE_PATH)) == 2


async def test_a_refresh_that_fails_is_told_in_the_parents_words(server: ServerFactory, backend: FakeBackend) -> None:
    old = backend.grant()
    backend.expire_access_tokens()
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"error": {"code": -32000, "message": "user signed out"}}
        await peer.login_with_tokens(old.access_token)
        assert "user signed out" in (await peer.error(LIMITS))["message"]


@pytest.mark.parametrize("body", ["", "[]", "no json", '{"rate_limit": 7}'])
async def test_an_answer_that_makes_no_sense_does_not_break_the_connection(
    server: ServerFactory, backend: FakeBackend, body: str
) -> None:
    backend.model.fail_next(200, body, path=USAGE_PATH)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.call(LIMITS)
        assert (await peer.result(LIMITS))["rateLimits"] == SNAPSHOT


async def test_reset_credits_are_asked_for_where_there_are_any(server: ServerFactory, backend: FakeBackend) -> None:
    backend.model.usage["rate_limit_reset_credits"] = {"available_count": 1}
    credit = {
        "id": "c1",
        "reset_type": "codex_rate_limits",
        "status": "available",
        "granted_at": "2026-01-01T00:00:00Z",
    }
    backend.model.reset_credits = {"available_count": 1, "credits": [credit]}
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        found = (await peer.result(LIMITS))["rateLimitResetCredits"]
        assert (found["availableCount"], found["credits"][0]["id"]) == (1, "c1")
        counted = (await peer.result(LIMITS, {"excludeResetCreditDetails": True}))["rateLimitResetCredits"]
        assert counted == {"availableCount": 1, "credits": None}
    assert len(backend.requests.to(RESET_CREDITS_PATH)) == 1


async def test_reset_credits_that_cannot_be_read_do_not_hide_the_limits(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.model.usage["rate_limit_reset_credits"] = {"available_count": 2}
    backend.model.fail_next(500, path=RESET_CREDITS_PATH)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        found = await peer.result(LIMITS)
        assert found["rateLimits"] == SNAPSHOT
        assert found["rateLimitResetCredits"] == {"availableCount": 2, "credits": None}


async def test_ordinary_usage_of_another_account_is_not_told(server: ServerFactory, backend: FakeBackend) -> None:
    backend.model.usage["account_id"] = "org-2"
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        found = await peer.result(LIMITS)
        assert (found["accountId"], found["ordinaryUsageAllowed"]) == ("org-2", None)
