"""Signing in with an API key or with the client's tokens: answers, order, what is refused, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import make_jwt
from tests.handlers.accounts import said, stored

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

START = "account/login/start"
EXTERNAL = "chatgptAuthTokens"
IN_ORDER = ["result", "account/login/completed", "account/updated"]
API_KEY = {"type": "apiKey", "apiKey": "sk-test"}


async def test_an_api_key_login_says_what_the_reference_says(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        start = len(peer.messages)
        assert await peer.result(START, API_KEY) == {"type": "apiKey"}
        await peer.notification("account/updated", authMode="apikey", planType=None)
        assert said(peer, start) == IN_ORDER
        completed = peer.notifications[0]["params"]
        assert completed == {"loginId": None, "success": True, "error": None}
    assert stored(home) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-test"}


async def test_an_external_login_says_what_the_reference_says(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        start = len(peer.messages)
        login = {"type": EXTERNAL, "accessToken": make_jwt(), "chatgptAccountId": "org-1"}
        assert await peer.result(START, login) == {"type": EXTERNAL}
        await peer.notification("account/updated", authMode=EXTERNAL, planType="pro")
        assert said(peer, start) == IN_ORDER
        assert peer.notifications[0]["params"] == {"loginId": None, "success": True, "error": None}
    assert stored(home) is None


@pytest.mark.parametrize(
    "shape",
    [
        {"accessToken": make_jwt(), "chatgptAccountId": "org-1", "chatgptPlanType": "pro"},
        {"accessToken": make_jwt(), "chatgptAccountId": "org-1", "chatgptPlanType": None},
        {"accessToken": make_jwt()},
        {"accessToken": make_jwt(account=None, plan=None, email=None), "idToken": make_jwt()},
        {"accessToken": make_jwt(), "idToken": make_jwt(), "chatgptAccountId": "org-1"},
        {"accessToken": make_jwt(account=None), "chatgptAccountId": "org-1"},
    ],
)
async def test_external_tokens_are_taken_in_both_shapes(
    server: ServerFactory, backend: FakeBackend, shape: dict[str, Any]
) -> None:
    async with server() as peer:
        await peer.result(START, {"type": EXTERNAL, **shape})
        account = (await peer.result("account/read"))["account"]
        assert account == {"type": "chatgpt", "email": "user@example.com", "planType": "pro"}
        await peer.turn(await peer.start_thread())
    [request] = backend.requests.to("/v1/responses")
    assert request.bearer == shape["accessToken"]
    assert request.headers["chatgpt-account-id"] == "org-1"


@pytest.mark.parametrize("account_id", ["user@example.com", "org-2"])
async def test_the_account_of_the_token_is_used_whatever_id_is_passed(
    server: ServerFactory, backend: FakeBackend, account_id: str
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(make_jwt(), chatgptAccountId=account_id)
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
    assert backend.requests.to("/v1/responses")[0].headers["chatgpt-account-id"] == "org-1"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"accessToken": "no-jwt-secret"}, "The access token is not a JWT"),
        ({"accessToken": make_jwt(), "idToken": "no-jwt-secret"}, "The id token is not a JWT"),
        ({"accessToken": "a.b.c"}, "The access token is not a JWT"),
        ({"accessToken": ""}, "The access token is not a JWT"),
        ({"accessToken": make_jwt(), "idToken": make_jwt(account="org-2")}, "different accounts"),
        ({"accessToken": make_jwt(account=None)}, "account id (chatgptAccountId) is neither passed nor in the tokens"),
        ({"accessToken": make_jwt() + "\n"}, "characters that cannot be sent"),
        ({"accessToken": make_jwt(account=None), "chatgptAccountId": "org\n"}, "account id has characters"),
        ({}, "accessToken: Field required"),
        ({"accessToken": 7}, "accessToken: Input should be a valid string"),
    ],
)
async def test_external_tokens_that_make_no_sense_are_invalid_params(
    server: ServerFactory, members: dict[str, Any], words: str
) -> None:
    async with server() as peer:
        error = await peer.error(START, {"type": EXTERNAL, **members})
        assert error["code"] == -32602
        assert words in error["message"]
        assert "no-jwt-secret" not in error["message"]
        assert (await peer.result("account/read"))["account"] is None
        assert peer.notifications == []


@pytest.mark.parametrize("key", ["", "  ", "sk-a b", "sk-line\nbreak", "sk-ä"])
async def test_an_api_key_that_cannot_be_one_is_invalid_params(server: ServerFactory, key: str) -> None:
    async with server() as peer:
        error = await peer.error(START, {"type": "apiKey", "apiKey": key})
        assert error["code"] == -32602
        assert not key.strip() or key not in error["message"]


async def test_white_space_around_an_api_key_is_not_part_of_it(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        await peer.result(START, {"type": "apiKey", "apiKey": " sk-test\n"})
        assert (await peer.result("getAuthStatus", {"includeToken": True}))["authToken"] == "sk-test"
    assert stored(home)["OPENAI_API_KEY"] == "sk-test"


@pytest.mark.parametrize("login", [{}, {"type": "carrierPigeon"}, {"type": None}, {"type": "apiKey"}, []])
async def test_a_login_of_no_known_kind_is_invalid_params(server: ServerFactory, login: object) -> None:
    async with server() as peer:
        assert (await peer.error(START, login))["code"] == -32602


@pytest.mark.parametrize("plan", ["galactic", "Pro", ""])
async def test_an_unknown_plan_reads_as_unknown_and_breaks_nothing(
    server: ServerFactory, backend: FakeBackend, plan: str
) -> None:
    expected = "unknown" if plan else None
    async with server() as peer:
        await peer.login_with_tokens(backend.grant(plan=plan).access_token)
        await peer.notification("account/updated", planType=expected)
        assert (await peer.result("account/read"))["account"]["planType"] == expected
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"


@pytest.mark.parametrize("kind", ["apiKey", "chatgpt", "chatgptDeviceCode"])
async def test_active_external_tokens_refuse_other_logins_until_logout(
    server: ServerFactory, backend: FakeBackend, kind: str
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        start = len(peer.messages)
        error = await peer.error(START, {"type": kind, "apiKey": "sk-test"})
        assert error == {
            "code": -32600,
            "message": "External auth is active. Use account/login/start (chatgptAuthTokens) to update it "
            "or account/logout to clear it.",
        }
        assert said(peer, start) == ["error"]
        await peer.result("account/logout")
        await peer.result(START, API_KEY)


async def test_active_external_tokens_can_be_updated(server: ServerFactory, backend: FakeBackend) -> None:
    second = backend.grant(account="org-2", plan="team")
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.login_with_tokens(second.access_token)
        await peer.notification("account/updated", planType="team")
        await peer.turn(await peer.start_thread())
    assert backend.requests.to("/v1/responses")[0].bearer == second.access_token


async def test_external_tokens_may_replace_an_api_key(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        await peer.result(START, API_KEY)
        await peer.login_with_tokens(make_jwt())
        assert (await peer.result("getAuthStatus"))["authMethod"] == EXTERNAL
    assert stored(home)["OPENAI_API_KEY"] == "sk-test"


async def test_a_home_that_is_missing_is_made_for_a_login(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        (home / "config.toml").unlink()
        home.rmdir()
        await peer.result(START, API_KEY)
    assert (home / "auth.json").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


async def test_the_home_that_cannot_be_made_is_told_of_and_nobody_is_signed_in(
    server: ServerFactory, home: Path
) -> None:
    async with server() as peer:
        (home / "config.toml").unlink()
        home.rmdir()
        home.write_text("a file where the home should be")
        error = await peer.error(START, API_KEY)
        assert error["code"] == -32603
        assert str(home) in error["message"]
        assert (await peer.result("account/read"))["account"] is None
        assert peer.notifications == []


@pytest.mark.usefixtures("callback_ports")
async def test_a_batch_of_logins_is_answered_and_only_the_last_one_is_under_way(server: ServerFactory) -> None:
    async with server() as peer:
        kinds = ["chatgpt", "chatgptDeviceCode", "chatgpt", "chatgpt"]
        await peer.send(
            [
                {"id": f"login {number}", "method": "account/login/start", "params": {"type": kind}}
                for number, kind in enumerate(kinds)
            ]
        )
        await peer.until(lambda: bool(peer.batches))
        answers = {one["id"]: one for one in peer.batches[0]}
        begun = {one["result"]["loginId"] for one in answers.values() if "result" in one}
        last = answers["login 3"]["result"]["loginId"]
        assert await peer.result("account/login/cancel", {"loginId": last}) == {"status": "canceled"}
        await peer.until(lambda: peer.methods.count("account/login/completed") == len(begun))
