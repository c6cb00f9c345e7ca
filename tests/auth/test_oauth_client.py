"""The issuer's client: what it sends, what it makes of every answer, and that no secret gets out."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from appserver.auth import oauth_client
from appserver.auth.oauth_client import (
    DeviceCode,
    DeviceGrant,
    IssuedTokens,
    LoginGrant,
    OAuthClient,
    PollAgain,
    TransientLoginError,
)
from appserver.errors import LoginError, RefreshError
from appserver.http import Http
from appserver.session import Session
from appserver.settings import Settings
from appserver.testing import FakeBackend
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing.service import Body

pytestmark = pytest.mark.anyio

CODE = "code-of-the-issuer-0123456789"
VERIFIER = Secret("verifier-of-this-login-0123456789")
REFRESH = Secret("refresh-token-of-the-user-0123456789")
ID_TOKEN = Secret("id-token-of-the-user-0123456789")
TOKEN_PATH, REVOKE_PATH = "/oauth/token", "/oauth/revoke"
USERCODE_PATH, POLL_PATH = "/api/accounts/deviceauth/usercode", "/api/accounts/deviceauth/token"
DEVICE = DeviceCode(Secret("device-auth-id-0123456789"), "ABCD-1234", 5, "http://issuer.test/codex/device")
SECRETS = (CODE, VERIFIER.reveal(), REFRESH.reveal(), ID_TOKEN.reveal(), DEVICE.device_auth_id.reveal())

MALFORMED = [
    pytest.param("no JSON at all", id="text"),
    pytest.param("[" * 100_000, id="nested"),
    pytest.param("[]", id="list"),
    pytest.param({}, id="empty"),
    pytest.param({"id_token": "i", "access_token": 7}, id="number"),
    pytest.param({"id_token": "i", "access_token": ["a"]}, id="array"),
    pytest.param({"id_token": "i", "access_token": "line\nbreak"}, id="control character"),
    pytest.param({"id_token": "i", "access_token": "ünicode"}, id="not ASCII"),
    pytest.param({"id_token": None, "access_token": "", "refresh_token": None}, id="null"),
]


def settings_for(url: str) -> Settings:
    return Settings(home="unused", issuer=url, token_url=f"{url}{TOKEN_PATH}", revoke_url=f"{url}{REVOKE_PATH}")


def named_session() -> Session:
    session = Session()
    session.begin("lab", "1", frozenset())
    return session


@asynccontextmanager
async def client_for(settings: Settings) -> AsyncIterator[OAuthClient]:
    http = Http(settings)
    try:
        yield OAuthClient(http, settings, named_session())
    finally:
        await http.close()


@pytest.fixture
async def backend() -> AsyncIterator[FakeBackend]:
    async with FakeBackend() as fake:
        yield fake


@pytest.fixture
async def oauth(backend: FakeBackend) -> AsyncIterator[OAuthClient]:
    async with client_for(settings_for(backend.url)) as client:
        yield client


def closed_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def assert_no_secret(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


# ---------------------------------------------------------------- code exchange


async def test_code_exchange_is_the_form_of_the_rfc(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.fail_next(200, {"id_token": "i", "access_token": "a", "refresh_token": "r"})
    tokens = await oauth.exchange_code(CODE, VERIFIER, "http://localhost:1455/auth/callback")
    assert tokens == IssuedTokens(Secret("i"), Secret("a"), Secret("r"))
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form() == {
        "grant_type": "authorization_code",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "code": CODE,
        "redirect_uri": "http://localhost:1455/auth/callback",
        "code_verifier": VERIFIER.reveal(),
    }


async def test_code_exchange_goes_to_the_issuer_also_where_refreshes_go_elsewhere(
    backend: FakeBackend,
) -> None:
    settings = settings_for(backend.url)._replace(token_url=f"{closed_port_url()}/refresh")
    backend.issuer.fail_next(200, {"id_token": "i", "access_token": "a"})
    async with client_for(settings) as oauth:
        tokens = await oauth.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert tokens.refresh_token is None


async def test_a_refused_code_ends_the_login_and_names_the_issuers_code(oauth: OAuthClient) -> None:
    with pytest.raises(LoginError, match="HTTP 400, invalid_grant") as caught:
        await oauth.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert_no_secret(str(caught.value))


@pytest.mark.parametrize("body", [*MALFORMED, {"access_token": "a"}, {"id_token": "i"}])
async def test_an_answer_without_both_tokens_ends_the_login(
    backend: FakeBackend, oauth: OAuthClient, body: Body
) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used"):
        await oauth.exchange_code(CODE, VERIFIER, "http://localhost/")


async def test_a_redirect_is_not_followed_with_the_code(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.fail_next(307, headers={"location": f"{backend.url}/elsewhere"})
    with pytest.raises(LoginError, match="HTTP 307"):
        await oauth.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert len(backend.requests) == 1


async def test_an_issuer_that_cannot_be_reached_is_named() -> None:
    url = closed_port_url()
    async with client_for(settings_for(url)) as oauth:
        with pytest.raises(LoginError, match="could not connect") as caught:
            await oauth.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert url in str(caught.value)


async def test_a_url_that_is_none_is_an_error_of_the_request(backend: FakeBackend) -> None:
    settings = settings_for(backend.url)._replace(token_url="http://host:port", revoke_url="nonsense")
    async with client_for(settings) as oauth:
        with pytest.raises(RefreshError, match="URL is not valid"):
            await oauth.refresh(REFRESH)
        await oauth.revoke(REFRESH, "refresh_token")


async def test_a_ca_file_that_cannot_be_read_is_named() -> None:
    settings = settings_for("https://issuer.test")._replace(ca_file="/nowhere.pem", ca_variable="SSL_CERT_FILE")
    async with client_for(settings) as oauth:
        with pytest.raises(RefreshError, match=r"SSL_CERT_FILE=/nowhere\.pem"):
            await oauth.refresh(REFRESH)


# ---------------------------------------------------------------- API key


async def test_api_key_is_asked_for_with_the_token_exchange_grant(backend: FakeBackend, oauth: OAuthClient) -> None:
    key = await oauth.exchange_api_key(ID_TOKEN)
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
    backend: FakeBackend, oauth: OAuthClient, body: Body
) -> None:
    backend.issuer.fail_next(200, body)
    assert await oauth.exchange_api_key(ID_TOKEN) is None


async def test_no_api_key_is_no_failure(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.api_keys = False
    assert await oauth.exchange_api_key(ID_TOKEN) is None
    backend.issuer.cut_next()
    assert await oauth.exchange_api_key(ID_TOKEN) is None


async def test_a_slow_api_key_is_not_waited_for(
    backend: FakeBackend, oauth: OAuthClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_client, "API_KEY_SECONDS", 0.05)
    backend.issuer.hold_next()
    assert await oauth.exchange_api_key(ID_TOKEN) is None


# ---------------------------------------------------------------- refresh


async def test_refresh_is_json_in_the_clients_name(backend: FakeBackend, oauth: OAuthClient) -> None:
    old = backend.grant()
    tokens = await oauth.refresh(Secret(old.refresh_token))
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
async def test_any_token_may_be_missing_in_a_refresh(backend: FakeBackend, oauth: OAuthClient, missing: str) -> None:
    backend.issuer.omit = frozenset({missing})
    tokens = await oauth.refresh(Secret(backend.grant().refresh_token))
    assert getattr(tokens, missing) is None
    assert sum(map(bool, (tokens.id_token, tokens.access_token, tokens.refresh_token))) == 2


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", ["refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"])
@pytest.mark.parametrize("place", ["error.code", "error", "code"])
async def test_a_dead_refresh_token_is_permanent_wherever_its_code_stands(
    backend: FakeBackend, oauth: OAuthClient, status: int, code: str, place: str
) -> None:
    bodies: dict[str, Body] = {
        "error.code": {"error": {"code": code, "message": REFRESH.reveal()}},
        "error": {"error": code, "error_description": REFRESH.reveal()},
        "code": {"code": code},
    }
    backend.issuer.fail_next(status, bodies[place])
    with pytest.raises(RefreshError, match=rf"\({code}\)\. Sign in again") as caught:
        await oauth.refresh(REFRESH)
    assert caught.value.permanent
    assert not caught.value.retryable
    assert_no_secret(str(caught.value))


@pytest.mark.parametrize("body", ["", "text", {"error": "another_code"}, {"error": {"code": 7}}])
async def test_any_401_is_permanent(backend: FakeBackend, oauth: OAuthClient, body: Body) -> None:
    backend.issuer.fail_next(401, body)
    with pytest.raises(RefreshError, match=r"HTTP 401.*Sign in again") as caught:
        await oauth.refresh(REFRESH)
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
    backend: FakeBackend, oauth: OAuthClient, status: int, body: Body
) -> None:
    backend.issuer.fail_next(status, body)
    with pytest.raises(RefreshError, match=f"HTTP {status}.*Try again later") as caught:
        await oauth.refresh(REFRESH)
    assert not caught.value.permanent
    assert caught.value.retryable


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_refresh_is_transient(backend: FakeBackend, oauth: OAuthClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(RefreshError, match="cannot be used") as caught:
        await oauth.refresh(REFRESH)
    assert not caught.value.permanent


async def test_a_broken_connection_is_transient(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.cut_next()
    with pytest.raises(RefreshError, match="could not be refreshed") as caught:
        await oauth.refresh(REFRESH)
    assert not caught.value.permanent


async def test_an_error_code_that_is_an_echo_is_not_repeated(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.fail_next(400, {"error": REFRESH.reveal()})
    with pytest.raises(RefreshError, match=r"HTTP 400\. ") as caught:
        await oauth.refresh(REFRESH)
    assert_no_secret(str(caught.value))


# ---------------------------------------------------------------- revoke


async def test_revoke_names_the_token_and_its_kind(backend: FakeBackend, oauth: OAuthClient) -> None:
    await oauth.revoke(REFRESH, "refresh_token")
    [request] = backend.requests.to(REVOKE_PATH)
    assert request.headers["originator"] == "lab"
    assert request.json() == {
        "token": REFRESH.reveal(),
        "token_type_hint": "refresh_token",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
    }


async def test_a_failing_revocation_is_logged_and_not_raised(
    backend: FakeBackend, oauth: OAuthClient, caplog: pytest.LogCaptureFixture
) -> None:
    backend.issuer.fail_next(500, REFRESH.reveal())
    backend.issuer.cut_next()
    await oauth.revoke(REFRESH, "refresh_token")
    await oauth.revoke(REFRESH, "refresh_token")
    messages = [record.getMessage() for record in caplog.records if record.name == "appserver"]
    assert len(messages) == 2
    assert "HTTP 500" in messages[0]
    assert_no_secret(caplog.text)


async def test_a_slow_revocation_is_given_up(
    backend: FakeBackend,
    oauth: OAuthClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(oauth_client, "REVOKE_SECONDS", 0.05)
    backend.issuer.hold_next()
    await oauth.revoke(REFRESH, "refresh_token")
    assert "within 0.05 s" in caplog.text


# ---------------------------------------------------------------- device login


async def test_a_device_login_begins_with_a_code_and_a_place(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.device.interval = "7"
    device = await oauth.request_user_code()
    assert device.user_code == "FAKE-0001"
    assert device.interval_seconds == 7
    assert device.verification_url == f"{backend.url}/codex/device"
    [request] = backend.requests.to(USERCODE_PATH)
    assert request.json() == {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann"}
    assert request.headers["originator"] == "lab"


async def test_the_user_code_is_found_under_its_other_name(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.device.user_code_field = "usercode"
    assert (await oauth.request_user_code()).user_code == "FAKE-0001"


ODD_INTERVALS: tuple[object, ...] = (None, "", "soon", "-1", -1, "nan", "inf", "1e9", True, [], "9" * 400)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("2", 2), (" 3 ", 3), (4, 4), (1.5, 1.5), ("0", 0), *((odd, 5) for odd in ODD_INTERVALS)],
)
async def test_the_interval_is_a_duration_or_five_seconds(
    backend: FakeBackend, oauth: OAuthClient, interval: object, seconds: float
) -> None:
    backend.issuer.fail_next(200, {"device_auth_id": "d", "user_code": "u", "interval": interval})
    assert (await oauth.request_user_code()).interval_seconds == seconds


async def test_where_device_login_is_not_enabled_browser_login_is_offered(
    backend: FakeBackend, oauth: OAuthClient
) -> None:
    backend.issuer.device.enabled = False
    with pytest.raises(LoginError, match=r"not enabled .* browser"):
        await oauth.request_user_code()


@pytest.mark.parametrize("body", ["text", {}, {"device_auth_id": "d"}, {"device_auth_id": 1, "user_code": "u"}])
async def test_a_malformed_device_code_ends_the_login(backend: FakeBackend, oauth: OAuthClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used"):
        await oauth.request_user_code()


async def test_a_poll_gives_a_grant_once_the_user_has_agreed(backend: FakeBackend, oauth: OAuthClient) -> None:
    device = await oauth.request_user_code()
    assert await oauth.poll_device(device) is PollAgain.PENDING
    grant = await oauth.poll_device(device)
    assert isinstance(grant, DeviceGrant)
    assert grant.challenge
    assert backend.requests.to(POLL_PATH)[0].json() == {
        "device_auth_id": device.device_auth_id.reveal(),
        "user_code": device.user_code,
    }


@pytest.mark.parametrize("status", [400, 403, 404, 428, 429])
@pytest.mark.parametrize(
    ("code", "answer"),
    [("authorization_pending", PollAgain.PENDING), ("slow_down", PollAgain.SLOW_DOWN)],
)
async def test_the_codes_of_the_rfc_are_honoured_on_any_4xx(
    backend: FakeBackend, oauth: OAuthClient, status: int, code: str, answer: PollAgain
) -> None:
    for body in ({"error": code}, {"error": {"code": code}}, {"code": code}):
        backend.issuer.fail_next(status, body)
        assert await oauth.poll_device(DEVICE) is answer


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("body", ["", {"error": "anything_else"}])
async def test_403_and_404_mean_not_yet(backend: FakeBackend, oauth: OAuthClient, status: int, body: Body) -> None:
    backend.issuer.fail_next(status, body)
    assert await oauth.poll_device(DEVICE) is PollAgain.PENDING


@pytest.mark.parametrize("code", ["expired_token", "access_denied"])
@pytest.mark.parametrize("status", [400, 403])
async def test_an_expired_or_denied_code_is_final(
    backend: FakeBackend, oauth: OAuthClient, code: str, status: int
) -> None:
    backend.issuer.fail_next(status, {"error": code})
    with pytest.raises(LoginError, match=code) as caught:
        await oauth.poll_device(DEVICE)
    assert not caught.value.retryable


async def test_a_refused_poll_is_final(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.fail_next(400, {"error": "invalid_client"})
    with pytest.raises(LoginError, match="invalid_client") as caught:
        await oauth.poll_device(DEVICE)
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_poll_that_the_issuer_could_not_serve_is_transient(
    backend: FakeBackend, oauth: OAuthClient, status: int
) -> None:
    backend.issuer.fail_next(status, {"error": "boom"})
    with pytest.raises(TransientLoginError, match=f"HTTP {status}") as caught:
        await oauth.poll_device(DEVICE)
    assert caught.value.retryable
    assert caught.value.status == status


async def test_a_poll_without_an_answer_is_transient(backend: FakeBackend, oauth: OAuthClient) -> None:
    backend.issuer.cut_next()
    with pytest.raises(TransientLoginError) as caught:
        await oauth.poll_device(DEVICE)
    assert caught.value.status is None


@pytest.mark.parametrize("body", ["text", {"authorization_code": "c"}, {"code_verifier": "v"}])
async def test_a_malformed_grant_is_final(backend: FakeBackend, oauth: OAuthClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used") as caught:
        await oauth.poll_device(DEVICE)
    assert not caught.value.retryable


# ---------------------------------------------------------------- secrets


def test_no_repr_shows_a_secret() -> None:
    tokens = IssuedTokens(ID_TOKEN, VERIFIER, REFRESH)
    grant = DeviceGrant(Secret(CODE), VERIFIER, "challenge")
    shown = repr((tokens, LoginGrant(tokens, REFRESH), grant, DEVICE))
    assert_no_secret(shown)
    assert DEVICE.user_code not in shown


async def test_no_error_and_no_log_at_any_level_shows_a_secret(
    backend: FakeBackend, oauth: OAuthClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    echo = " ".join(SECRETS)
    texts = []
    calls = (
        lambda: oauth.exchange_code(CODE, VERIFIER, "http://localhost/"),
        lambda: oauth.refresh(REFRESH),
        lambda: oauth.poll_device(DEVICE),
    )
    for call in calls:
        for status in (200, 400, 401, 500):
            backend.issuer.fail_next(status, {"error": {"code": echo, "message": echo}, "access_token": [echo]})
            with pytest.raises((LoginError, RefreshError)) as caught:
                await call()
            texts.append(f"{caught.value!r} {caught.value.__cause__!r}")
    await oauth.exchange_api_key(ID_TOKEN)
    await oauth.revoke(REFRESH, "refresh_token")
    assert_no_secret(" ".join(texts))
    assert_no_secret(caplog.text)
