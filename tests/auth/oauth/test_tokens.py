"""Requests about tokens: what they send, and what is made of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.oauth import tokens as oauth_tokens
from appserver.auth.oauth.tokens import IssuedTokens, TokenClient
from appserver.errors import LoginError, RefreshError
from protocol.base import Secret
from tests.auth.oauth_rig import (
    CODE,
    ID_TOKEN,
    MALFORMED,
    REFRESH,
    REVOKE_PATH,
    TOKEN_PATH,
    VERIFIER,
    assert_no_secret,
    clients_for,
    closed_port_url,
    named_session,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend
    from appserver.testing.service import Body

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncIterator[TokenClient]:
    async with clients_for(settings_for(backend.url)) as clients:
        yield clients.tokens


# ---------------------------------------------------------------- code exchange


async def test_code_exchange_is_the_form_of_the_rfc(backend: FakeBackend, client: TokenClient) -> None:
    backend.issuer.fail_next(200, {"id_token": "i", "access_token": "a", "refresh_token": "r"})
    tokens = await client.exchange_code(CODE, VERIFIER, "http://localhost:1455/auth/callback")
    assert tokens == IssuedTokens(Secret("i"), Secret("a"), Secret("r"))
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form() == {
        "grant_type": "authorization_code",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "code": CODE.reveal(),
        "redirect_uri": "http://localhost:1455/auth/callback",
        "code_verifier": VERIFIER.reveal(),
    }


async def test_code_exchange_goes_to_the_issuer_also_where_refreshes_go_elsewhere(
    backend: FakeBackend,
) -> None:
    settings = settings_for(backend.url)._replace(token_url=f"{closed_port_url()}/refresh")
    backend.issuer.fail_next(200, {"id_token": "i", "access_token": "a"})
    async with clients_for(settings) as clients:
        tokens = await clients.tokens.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert tokens.refresh_token is None


async def test_a_refused_code_ends_the_login_and_names_the_issuers_code(client: TokenClient) -> None:
    with pytest.raises(LoginError, match="HTTP 400, invalid_grant") as caught:
        await client.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert_no_secret(str(caught.value))


@pytest.mark.parametrize("body", [*MALFORMED, {"access_token": "a"}, {"id_token": "i"}])
async def test_an_answer_without_both_tokens_ends_the_login(
    backend: FakeBackend, client: TokenClient, body: Body
) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used"):
        await client.exchange_code(CODE, VERIFIER, "http://localhost/")


# ---------------------------------------------------------------- API key


async def test_api_key_is_asked_for_with_the_token_exchange_grant(backend: FakeBackend, client: TokenClient) -> None:
    key = await client.exchange_api_key(ID_TOKEN)
    assert key is not None
    assert key.reveal().startswith("sk-")
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.form() == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "requested_token": "openai-api-key",
        "subject_token": ID_TOKEN.reveal(),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    }


@pytest.mark.parametrize("body", MALFORMED)
async def test_an_api_key_answer_that_makes_no_sense_is_no_api_key(
    backend: FakeBackend, client: TokenClient, body: Body
) -> None:
    backend.issuer.fail_next(200, body)
    assert await client.exchange_api_key(ID_TOKEN) is None


async def test_no_api_key_is_no_failure(backend: FakeBackend, client: TokenClient) -> None:
    backend.issuer.api_keys = False
    assert await client.exchange_api_key(ID_TOKEN) is None
    backend.issuer.cut_next()
    assert await client.exchange_api_key(ID_TOKEN) is None


async def test_a_slow_api_key_is_not_waited_for(
    backend: FakeBackend, client: TokenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_tokens, "API_KEY_SECONDS", 0.05)
    backend.issuer.hold_next()
    assert await client.exchange_api_key(ID_TOKEN) is None


# ---------------------------------------------------------------- refresh


async def test_refresh_is_json_in_the_clients_name(backend: FakeBackend, client: TokenClient) -> None:
    old = backend.grant()
    tokens = await client.refresh(Secret(old.refresh_token))
    assert tokens.access_token
    assert tokens.refresh_token not in (None, Secret(old.refresh_token))
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["originator"] == "lab"
    assert request.headers["user-agent"] == named_session().user_agent
    assert request.json() == {
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "grant_type": "refresh_token",
        "refresh_token": old.refresh_token,
    }


@pytest.mark.parametrize("missing", ["id_token", "access_token", "refresh_token"])
async def test_any_token_may_be_missing_in_a_refresh(backend: FakeBackend, client: TokenClient, missing: str) -> None:
    backend.issuer.omit = frozenset({missing})
    tokens = await client.refresh(Secret(backend.grant().refresh_token))
    assert getattr(tokens, missing) is None
    assert sum(map(bool, (tokens.id_token, tokens.access_token, tokens.refresh_token))) == 2


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", ["refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"])
@pytest.mark.parametrize("place", ["error.code", "error", "code"])
async def test_a_dead_refresh_token_is_permanent_wherever_its_code_stands(
    backend: FakeBackend, client: TokenClient, status: int, code: str, place: str
) -> None:
    bodies: dict[str, Body] = {
        "error.code": {"error": {"code": code, "message": REFRESH.reveal()}},
        "error": {"error": code, "error_description": REFRESH.reveal()},
        "code": {"code": code},
    }
    backend.issuer.fail_next(status, bodies[place])
    with pytest.raises(RefreshError, match=rf"\({code}\)\. Sign in again") as caught:
        await client.refresh(REFRESH)
    assert caught.value.permanent
    assert not caught.value.retryable
    assert_no_secret(str(caught.value))


@pytest.mark.parametrize("body", ["", "text", {"error": "another_code"}, {"error": {"code": 7}}])
async def test_any_401_is_permanent(backend: FakeBackend, client: TokenClient, body: Body) -> None:
    backend.issuer.fail_next(401, body)
    with pytest.raises(RefreshError, match=r"HTTP 401.*Sign in again") as caught:
        await client.refresh(REFRESH)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "invalid_request"}),
        (403, {"error": "refresh_token_expired"}),
        (429, {"error": "slow_down"}),
        (500, ""),
        (503, {"error": {"code": "refresh_token_reused"}}),
        (302, ""),
    ],
)
async def test_any_other_refusal_is_transient(
    backend: FakeBackend, client: TokenClient, status: int, body: Body
) -> None:
    backend.issuer.fail_next(status, body)
    with pytest.raises(RefreshError, match=f"HTTP {status}.*Try again later") as caught:
        await client.refresh(REFRESH)
    assert not caught.value.permanent
    assert caught.value.retryable


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_refresh_is_transient(backend: FakeBackend, client: TokenClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(RefreshError, match="cannot be used") as caught:
        await client.refresh(REFRESH)
    assert not caught.value.permanent


async def test_a_broken_connection_is_transient(backend: FakeBackend, client: TokenClient) -> None:
    backend.issuer.cut_next()
    with pytest.raises(RefreshError, match="could not be refreshed") as caught:
        await client.refresh(REFRESH)
    assert not caught.value.permanent


# ---------------------------------------------------------------- revoke


async def test_revoke_names_the_token_and_its_kind(backend: FakeBackend, client: TokenClient) -> None:
    await client.revoke(REFRESH, "refresh_token")
    [request] = backend.requests.to(REVOKE_PATH)
    assert request.headers["originator"] == "lab"
    assert request.json() == {
        "token": REFRESH.reveal(),
        "token_type_hint": "refresh_token",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
    }


async def test_a_failing_revocation_is_logged_and_not_raised(
    backend: FakeBackend, client: TokenClient, caplog: pytest.LogCaptureFixture
) -> None:
    backend.issuer.fail_next(500, REFRESH.reveal())
    backend.issuer.cut_next()
    await client.revoke(REFRESH, "refresh_token")
    await client.revoke(REFRESH, "refresh_token")
    messages = [record.getMessage() for record in caplog.records if record.name == "appserver"]
    assert len(messages) == 2
    assert "HTTP 500" in messages[0]
    assert_no_secret(caplog.text)


async def test_a_slow_revocation_is_given_up(
    backend: FakeBackend,
    client: TokenClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(oauth_tokens, "REVOKE_SECONDS", 0.05)
    backend.issuer.hold_next()
    await client.revoke(REFRESH, "refresh_token")
    assert "within 0.05 s" in caplog.text
