"""The fake issuer over HTTP: browser sign-in, refresh, token exchange, revoke, and its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from appserver.testing import FakeBackend, Grant, Profile
from appserver.testing.tokens import code_challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

REDIRECT = "http://localhost:1455/auth/callback"
VERIFIER = "v" * 43
AUTHORIZATION = {
    "response_type": "code",
    "client_id": "client",
    "redirect_uri": REDIRECT,
    "code_challenge": code_challenge(VERIFIER),
    "code_challenge_method": "S256",
    "state": "s&1",
}


async def authorize(client: httpx.AsyncClient, **changes: str) -> dict[str, str]:
    """Visit the authorize page and return what it redirects back with."""
    answer = await client.get("/oauth/authorize", params={**AUTHORIZATION, **changes})
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith(f"{REDIRECT}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def redeem(client: httpx.AsyncClient, code: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "client_id": "client"}
    return await client.post("/oauth/token", data={**form, "code_verifier": VERIFIER, **changes})


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    body = {"client_id": "client", "grant_type": "refresh_token", "refresh_token": token}
    return await client.post("/oauth/token", json=body)


def error_code(answer: httpx.Response) -> str:
    error: Mapping[str, Any] | str = answer.json()["error"]
    return error if isinstance(error, str) else error["code"]


async def test_a_sign_in_gives_three_tokens(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    back = await authorize(client)
    assert back["state"] == "s&1"
    answer = await redeem(client, back["code"])
    assert answer.status_code == 200
    assert {"id_token", "access_token", "refresh_token"} < answer.json().keys()
    backend.expire_access_tokens()
    assert not backend.tokens.accepts(answer.json()["access_token"])


async def test_a_code_works_once(client: httpx.AsyncClient) -> None:
    code = (await authorize(client))["code"]
    assert (await redeem(client, code)).status_code == 200
    again = await redeem(client, code)
    assert (again.status_code, error_code(again)) == (400, "invalid_grant")


@pytest.mark.parametrize("wrong", [{"code_verifier": "w" * 43}, {"redirect_uri": "http://localhost:1/"}])
async def test_a_code_is_redeemed_only_by_who_asked_for_it(client: httpx.AsyncClient, wrong: dict[str, str]) -> None:
    answer = await redeem(client, (await authorize(client))["code"], **wrong)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_grant")


async def test_a_denial_comes_back_as_an_error(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.deny_next()
    back = await authorize(client)
    assert (back["error"], back["state"]) == ("access_denied", "s&1")
    assert "code" not in back
    assert "code" in await authorize(client)


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": "https://example.com/"},
        {"redirect_uri": "http://[broken"},
        {"code_challenge_method": "plain"},
        {"response_type": "token"},
    ],
)
async def test_a_doubtful_authorization_request_is_not_redirected(
    client: httpx.AsyncClient, wrong: dict[str, str]
) -> None:
    answer = await client.get("/oauth/authorize", params={**AUTHORIZATION, **wrong})
    assert (answer.status_code, error_code(answer)) == (400, "invalid_request")


async def test_an_incomplete_authorization_request_names_what_it_lacks(client: httpx.AsyncClient) -> None:
    answer = await client.get("/oauth/authorize", params={"client_id": "client"})
    assert answer.json()["error_description"] == "The request lacks code_challenge, redirect_uri."


async def test_a_refresh_token_works_once(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    grant = backend.grant()
    first = await refresh(client, grant.refresh_token)
    assert first.status_code == 200
    again = await refresh(client, grant.refresh_token)
    assert (again.status_code, error_code(again)) == (401, "refresh_token_reused")
    assert (await refresh(client, first.json()["refresh_token"])).status_code == 200


async def test_a_refresh_may_come_as_a_form(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": backend.grant().refresh_token}
    assert (await client.post("/oauth/token", data=form)).status_code == 200


async def test_refresh_tokens_are_refused_by_their_fate(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    revoked, expired = backend.grant(), backend.grant()
    body = {"token": revoked.refresh_token, "token_type_hint": "refresh_token", "client_id": "client"}
    assert (await client.post("/oauth/revoke", json=body)).status_code == 200
    backend.tokens.expire_refresh_tokens()
    tokens = ("never issued", revoked.refresh_token, expired.refresh_token)
    assert [error_code(await refresh(client, it)) for it in tokens] == [
        "refresh_token_invalidated",
        "refresh_token_invalidated",
        "refresh_token_expired",
    ]


async def test_revoking_an_access_token_ends_it(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    token = backend.grant().access_token
    await client.post("/oauth/revoke", json={"token": token})
    assert not backend.tokens.accepts(token)


async def test_a_refresh_may_leave_tokens_out_and_then_the_old_one_stays_good(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    grant = backend.grant()
    backend.issuer.omit = frozenset({"id_token", "refresh_token"})
    for _ in range(2):
        answer = await refresh(client, grant.refresh_token)
        assert answer.status_code == 200
        assert not {"id_token", "refresh_token"} & answer.json().keys()


async def test_a_refresh_keeps_the_workspace_unless_told_otherwise(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    grant = backend.grant(account="org-7")
    second = (await refresh(client, grant.refresh_token)).json()["refresh_token"]
    assert backend.tokens.profile_of(second).account == "org-7"
    backend.issuer.refresh_profile = Profile(account="org-8")
    third = (await refresh(client, second)).json()["refresh_token"]
    assert backend.tokens.profile_of(third).account == "org-8"


async def test_an_id_token_buys_an_api_key_unless_refused(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token": "openai-api-key",
        "subject_token": backend.grant().id_token,
    }
    backend.expire_access_tokens()
    key = (await client.post("/oauth/token", data=form)).json()["access_token"]
    assert key.startswith("sk-")
    assert backend.tokens.accepts(key)
    backend.issuer.api_keys = False
    assert (await client.post("/oauth/token", data=form)).status_code == 400


async def test_a_body_that_makes_no_sense_is_an_invalid_request(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    for path in ("/oauth/token", "/oauth/revoke"):
        for content in (b"{", b"[]", b"\xff"):
            answer = await client.post(path, content=content, headers=headers)
            assert (answer.status_code, error_code(answer)) == (400, "invalid_request")
    unknown = await client.post("/oauth/token", data={"grant_type": "password"})
    assert error_code(unknown) == "unsupported_grant_type"


async def test_a_failure_hits_as_many_requests_as_told_and_spends_nothing(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    grant = backend.grant()
    backend.issuer.fail_next(503, {"error": "temporarily_unavailable"}, times=2)
    answers = [await refresh(client, grant.refresh_token) for _ in range(3)]
    assert [it.status_code for it in answers] == [503, 503, 200]
    assert answers[0].json() == {"error": "temporarily_unavailable"}


async def test_a_failure_can_be_meant_for_one_endpoint(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.fail_next(500, path="/oauth/revoke", headers={"retry-after": "1"})
    assert (await refresh(client, backend.grant().refresh_token)).status_code == 200
    failure = await client.post("/oauth/revoke", json={"token": "x"})
    assert (failure.status_code, failure.headers["retry-after"], failure.text) == (500, "1", "")


async def test_a_cut_request_has_no_answer(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.cut_next()
    grant = backend.grant()
    with pytest.raises(httpx.RemoteProtocolError):
        await refresh(client, grant.refresh_token)
    assert (await refresh(client, grant.refresh_token)).status_code == 200


async def test_a_held_request_is_served_once_released(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    gate = backend.issuer.hold_next(path="/oauth/token")
    grant: Grant = backend.grant()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refresh, client, grant.refresh_token)
        await gate.reached.wait()
        assert backend.tokens.refresh_state(grant.refresh_token).name == "LIVE"
        gate.release()
    assert backend.tokens.refresh_state(grant.refresh_token).name == "USED"


async def test_a_held_answer_is_that_of_a_request_that_was_served(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    gate = backend.issuer.hold_answer(path="/oauth/token")
    grant: Grant = backend.grant()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refresh, client, grant.refresh_token)
        await gate.reached.wait()
        assert backend.tokens.refresh_state(grant.refresh_token).name == "USED"
        gate.release()


async def test_forgotten_faults_do_not_happen(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.fail_next(500)
    backend.issuer.delay = 60
    backend.issuer.clear_faults()
    assert (await refresh(client, backend.grant().refresh_token)).status_code == 200


async def test_a_delay_precedes_the_answer(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.delay = 60
    with pytest.raises(httpx.ReadTimeout):
        await client.get("/oauth/authorize", params=AUTHORIZATION, timeout=0.05)
