"""The OAuth provider: what works, on both databases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from appserver.gateway.hashes import hashed_password
from protocol.base import Secret
from tests.gateway.oauth.browser import (
    APP,
    APP_CALLBACK,
    CALLBACK,
    CLIENT,
    NAME,
    PASSWORD,
    SECRET,
    Browser,
    Page,
    Pkce,
    answer_of,
    exchange,
    exchange_code,
    models_with,
    refresh,
    request,
    set_up,
)
from tests.gateway.rig import NO_TLS, Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gateway(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Running]:
    async with running_gateway(backend, home, database_url=database_url) as running:
        await set_up(running)
        yield running


async def test_a_person_signs_in_consents_and_the_client_gets_tokens(gateway: Running) -> None:
    browser = Browser(gateway.url)
    entered = await browser.open(request(scope="models responses"))
    page = Page(entered.text)
    assert page.inputs == ["name", "password"]
    consent = await browser.sign_in(request(scope="models responses"))
    assert [button["value"] for button in Page(consent.text).buttons] == ["allow", "deny"]
    for told in ("A GPT", NAME, "org-1", "chat.example", "see which models"):
        assert told in consent.text
    assert "conversations" not in consent.text
    answer = answer_of(await browser.submit(consent, decision="allow"))
    assert (answer["state"], answer["iss"]) == ("st", gateway.url)
    tokens = await exchange_code(gateway, answer["code"])
    assert tokens.headers["cache-control"] == "no-store"
    told = tokens.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("bearer", 3600, "models responses")
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, verify=NO_TLS) as http:
        said = await http.post("/v1/responses", json={"model": "m", "input": "Hi"})
        assert said.json()["output"][0]["content"][0]["text"] == "You said: Hi"
        assert (await http.post("/jsonrpc", json={"id": 1, "method": "account/read"})).status_code == 403


async def test_a_person_signs_in_with_a_new_password_and_the_old_one_is_wrong(gateway: Running) -> None:
    await gateway.gateway.accounts.set_password(NAME, hashed_password(Secret("staple horse")))
    browser = Browser(gateway.url)
    assert (await browser.submit(await browser.open(request()), name=NAME, password=PASSWORD)).status_code == 401
    assert (await browser.sign_in(request(), password="staple horse")).status_code == 200


async def test_a_refusal_is_told_to_the_client(gateway: Running) -> None:
    browser = Browser(gateway.url)
    answer = answer_of(await browser.submit(await browser.sign_in(request()), decision="deny"))
    assert (answer["error"], answer["state"]) == ("access_denied", "st")


@pytest.mark.parametrize("scope", [None, "read write", "read"])
async def test_an_action_that_asks_for_nothing_particular_gets_what_its_client_may_have(
    gateway: Running, scope: str | None
) -> None:
    code = await Browser(gateway.url).code(request(scope=scope))
    assert (await exchange_code(gateway, code)).json()["scope"] == "models responses rpc"


async def test_a_public_client_proves_itself_by_the_code_verifier(gateway: Running) -> None:
    pkce = Pkce.new()
    asked = request(
        client_id=APP, redirect_uri=APP_CALLBACK, code_challenge=pkce.challenge, code_challenge_method="S256"
    )
    code = await Browser(gateway.url).code(asked)
    own = {"client_id": APP, "client_secret": "", "redirect_uri": APP_CALLBACK}
    tokens = (await exchange_code(gateway, code, **own, code_verifier=pkce.verifier)).json()
    assert tokens["scope"] == "models"
    assert await models_with(gateway, tokens["access_token"]) == 200
    assert (await refresh(gateway, tokens["refresh_token"], **own)).status_code == 200


@pytest.mark.parametrize("way", ["basic", "post", "json"])
async def test_a_client_shows_its_secret_in_three_ways(gateway: Running, way: str) -> None:
    code = await Browser(gateway.url).code(request())
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    both = {**form, "client_id": CLIENT, "client_secret": SECRET}
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        match way:
            case "basic":
                answer = await http.post("/oauth/token", data=form, auth=(CLIENT, SECRET))
            case "post":
                answer = await http.post("/oauth/token", data=both)
            case _:
                answer = await http.post("/oauth/token", json=both)
    assert answer.status_code == 200, answer.text


async def test_a_refresh_token_is_replaced_and_may_come_again_for_a_moment(gateway: Running) -> None:
    first = (await exchange_code(gateway, await Browser(gateway.url).code(request()))).json()
    second = (await refresh(gateway, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    again = await refresh(gateway, first["refresh_token"])  # its answer may have been lost
    assert again.status_code == 200
    for tokens in (first, second, again.json()):
        assert await models_with(gateway, tokens["access_token"]) == 200


async def test_a_refresh_can_ask_for_less(gateway: Running) -> None:
    first = (await exchange_code(gateway, await Browser(gateway.url).code(request()))).json()
    less = (await refresh(gateway, first["refresh_token"], scope="models")).json()
    assert less["scope"] == "models"


async def test_what_is_revoked_is_good_no_longer(gateway: Running) -> None:
    tokens = (await exchange_code(gateway, await Browser(gateway.url).code(request()))).json()
    more = (await refresh(gateway, tokens["refresh_token"])).json()
    client = {"client_id": CLIENT, "client_secret": SECRET}
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        for token in (tokens["access_token"], "never-known"):
            assert (await http.post("/oauth/revoke", data={**client, "token": token})).status_code == 200
        assert await models_with(gateway, tokens["access_token"]) == 401
        assert await models_with(gateway, more["access_token"]) == 200
        await http.post("/oauth/revoke", data={**client, "token": more["refresh_token"]})
    assert await models_with(gateway, more["access_token"]) == 401
    assert (await refresh(gateway, more["refresh_token"])).json()["error"] == "invalid_grant"


async def test_the_metadata_says_where_everything_is(gateway: Running) -> None:
    told = (await gateway.http.get("/.well-known/oauth-authorization-server", headers={"Host": "evil.example"})).json()
    assert told["issuer"] == gateway.url
    assert told["token_endpoint"] == f"{gateway.url}/oauth/token"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert "evil" not in json.dumps(told)


async def test_only_hashes_are_stored(gateway: Running) -> None:
    browser = Browser(gateway.url)
    code = await browser.code(request())
    tokens = (await exchange_code(gateway, code)).json()
    secrets = [code, tokens["access_token"], tokens["refresh_token"], SECRET, browser.http.cookies["gateway-session"]]
    async with gateway.gateway.database.reading() as connection:
        for table in ("codes", "tokens", "sessions", "clients", "grants", "users"):
            rows = str((await connection.exec_driver_sql(f"SELECT * FROM {table}")).all())  # noqa: S608 - names of ours
            assert not [secret for secret in secrets if secret in rows]


async def test_a_removed_users_tokens_are_good_no_longer(gateway: Running) -> None:
    tokens = (await exchange_code(gateway, await Browser(gateway.url).code(request()))).json()
    await gateway.gateway.accounts.remove_user(NAME)
    assert await models_with(gateway, tokens["access_token"]) == 401
    assert (await refresh(gateway, tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_the_client_of_the_environment_is_there_from_the_start(backend: FakeBackend, home: Path) -> None:
    from appserver.gateway.environment import OAuthClient

    client = OAuthClient("from-the-start", Secret("sk-its-secret"), (CALLBACK,))
    async with running_gateway(backend, home, oauth_client=client) as gateway:
        assert (await Browser(gateway.url).open(request(client_id="from-the-start"))).status_code == 200
        given = {"client_id": "from-the-start", "client_secret": "sk-its-secret", "grant_type": "refresh_token"}
        assert (await exchange(gateway, **given, refresh_token="x")).json()["error"] == "invalid_grant"
