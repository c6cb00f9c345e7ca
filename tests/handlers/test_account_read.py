"""account/read and getAuthStatus in every mode, with and without a refresh, and what they say of a broken login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.testing import make_jwt
from tests.handlers.accounts import said, store_login, stored, write_auth

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

TOKEN_PATH = "/oauth/token"
CHATGPT = {"type": "chatgpt", "email": "user@example.com", "planType": "pro"}
API_KEY = {"type": "apiKey", "apiKey": "sk-test"}
REUSED = "refresh_token_reused"


async def status(peer: Peer, **params: bool) -> tuple[str | None, str | None]:
    """The method and the token that getAuthStatus tells."""
    result = await peer.result("getAuthStatus", params)
    assert result.keys() == {"authMethod", "authToken", "requiresOpenaiAuth"}
    return result["authMethod"], result["authToken"]


@pytest.mark.parametrize("refresh", [False, True])
async def test_nobody(server: ServerFactory, refresh: bool) -> None:
    async with server() as peer:
        read = await peer.result("account/read", {"refreshToken": refresh})
        assert read == {"account": None, "requiresOpenaiAuth": True}
        assert await status(peer, includeToken=True, refreshToken=refresh) == (None, None)


@pytest.mark.parametrize("refresh", [False, True])
async def test_an_api_key(server: ServerFactory, refresh: bool) -> None:
    async with server() as peer:
        await peer.result("account/login/start", API_KEY)
        read = await peer.result("account/read", {"refreshToken": refresh})
        assert read == {"account": {"type": "apiKey"}, "requiresOpenaiAuth": True}
        assert await status(peer, includeToken=True, refreshToken=refresh) == ("apikey", "sk-test")
        assert await status(peer) == ("apikey", None)


@pytest.mark.parametrize("refresh", [False, True])
async def test_external_tokens_are_not_refreshed_by_a_read(server: ServerFactory, refresh: bool) -> None:
    token = make_jwt()
    async with server() as peer:
        await peer.login_with_tokens(token)
        read = await peer.result("account/read", {"refreshToken": refresh})
        assert read == {"account": CHATGPT, "requiresOpenaiAuth": True}
        assert await status(peer, includeToken=True, refreshToken=refresh) == ("chatgptAuthTokens", token)
        assert await status(peer, includeToken=False) == ("chatgptAuthTokens", None)
        assert peer.requests == []


async def test_a_managed_login(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        assert await peer.result("account/read") == {"account": CHATGPT, "requiresOpenaiAuth": True}
        assert await status(peer, includeToken=True) == ("chatgpt", grant.access_token)
    assert backend.requests.to(TOKEN_PATH) == []


@pytest.mark.parametrize("method", ["account/read", "getAuthStatus"])
async def test_a_read_can_refresh_a_managed_login(
    server: ServerFactory, backend: FakeBackend, home: Path, method: str
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        await peer.result(method, {"refreshToken": True})
        assert (
            (await status(peer, includeToken=True))[1] == stored(home)["tokens"]["access_token"] != grant.access_token
        )
        assert peer.notifications == []
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_reads_that_refresh_at_the_same_time_refresh_once(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    gate = backend.issuer.hold_next()
    async with server() as peer:
        ids = [await peer.post("account/read", {"refreshToken": True}) for _ in range(8)]
        await gate.reached.wait()
        gate.release()
        for request_id in ids:
            assert (await peer.response(request_id))["result"]["account"] == CHATGPT
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_read_whose_refresh_fails_still_says_who_is_signed_in(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.issuer.fail_next(503)
    async with server() as peer:
        read = await peer.result("account/read", {"refreshToken": True})
        assert read == {"account": CHATGPT, "requiresOpenaiAuth": True}


async def test_a_read_that_waits_for_a_refresh_survives_a_logout(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with server() as peer:
        request_id = await peer.post("account/read", {"refreshToken": True})
        await gate.reached.wait()
        await peer.result("account/logout", {"scope": "local"})
        gate.release()
        assert (await peer.response(request_id))["result"]["account"] is None
    assert stored(home) is None


async def test_a_dead_login_needs_a_new_one_and_says_why_also_after_a_restart(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.tokens.expire_refresh_tokens()
    for _ in range(2):
        async with server() as peer:
            read = await peer.result("account/read", {"refreshToken": True})
            assert read["account"] == CHATGPT
            assert "refresh token has expired (refresh_token_expired)" in read["needsLogin"]["reason"]
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_login_ends_the_need_for_one(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant())
    backend.tokens.expire_refresh_tokens()
    async with server() as peer:
        assert "needsLogin" in await peer.result("account/read", {"refreshToken": True})
        store_login(home, backend.grant())
        assert "needsLogin" not in await peer.result("account/read")


@pytest.mark.parametrize(
    "content", ["{ not json", "[]", "\x00\x01", "", '{"auth_mode": "chatgpt", "tokens": {"id_token": "no-jwt"}}']
)
async def test_a_corrupt_file_is_reported_and_does_not_stop_a_login(
    server: ServerFactory, home: Path, content: str
) -> None:
    (home / "auth.json").write_text(content)
    async with server() as peer:
        read = await peer.result("account/read")
        assert read["account"] is None
        assert "auth.json" in read["needsLogin"]["reason"]
        await peer.result("account/login/start", API_KEY)
        read = await peer.result("account/read")
        assert read == {"account": {"type": "apiKey"}, "requiresOpenaiAuth": True}
    assert stored(home)["OPENAI_API_KEY"] == "sk-test"


async def test_a_stored_key_that_cannot_be_sent_is_reported_and_not_used(server: ServerFactory, home: Path) -> None:
    write_auth(home, {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-secret\nline"})
    async with server() as peer:
        read = await peer.result("account/read")
        assert read["needsLogin"] == {"reason": "The API key has characters that cannot be sent"}
        turn = await peer.turn(await peer.start_thread())
        assert "sk-secret" not in str(turn)


async def test_a_login_by_another_program_is_announced_before_the_answer_that_shows_it(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        assert (await peer.result("account/read"))["account"] is None
        start = len(peer.messages)
        store_login(home, backend.grant(plan="team"))
        assert (await peer.result("account/read"))["account"] == {**CHATGPT, "planType": "team"}
        assert said(peer, start) == ["account/updated", "result"]


async def test_a_provider_that_needs_no_login_says_so(server: ServerFactory) -> None:
    async with server("model_providers.fake.requires_openai_auth=false") as peer:
        assert (await peer.result("account/read"))["requiresOpenaiAuth"] is False
        assert (await peer.result("getAuthStatus"))["requiresOpenaiAuth"] is False


@pytest.mark.parametrize("params", [{"refreshToken": "yes"}, {"refreshToken": 1}, [True], "text"])
async def test_params_of_the_wrong_type_are_refused(server: ServerFactory, params: object) -> None:
    async with server() as peer:
        error = await peer.error("account/read", params)
        assert error["code"] in (-32602, -32600)
