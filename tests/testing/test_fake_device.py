"""Device-code sign-in at the fake issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Decision, FakeBackend

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio


async def start(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/api/accounts/deviceauth/usercode", json={"client_id": "client"})
    assert answer.status_code == 200
    started: dict[str, Any] = answer.json()
    return started


async def poll(client: httpx.AsyncClient, started: dict[str, Any]) -> httpx.Response:
    body = {"device_auth_id": started["device_auth_id"], "user_code": started["user_code"]}
    return await client.post("/api/accounts/deviceauth/token", json=body)


async def test_an_attempt_is_pending_as_often_as_told_then_approved(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.issuer.device.pending_polls = 2
    started = await start(client)
    assert started["interval"] == "0"
    answers = [await poll(client, started) for _ in range(3)]
    assert [it.status_code for it in answers] == [403, 403, 200]
    assert answers[0].json()["error"]["code"] == "deviceauth_authorization_pending"


async def test_the_code_of_an_approved_attempt_redeems_tokens(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.device.pending_polls = 0
    approved = (await poll(client, await start(client))).json()
    form = {
        "grant_type": "authorization_code",
        "code": approved["authorization_code"],
        "code_verifier": approved["code_verifier"],
        "redirect_uri": f"{backend.url}/deviceauth/callback",
        "client_id": "client",
    }
    assert (await client.post("/oauth/token", data=form)).status_code == 200


async def test_slow_down_comes_first_as_rfc_8628_spells_it(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.device.slow_down_polls = 1
    started = await start(client)
    answers = [await poll(client, started) for _ in range(3)]
    assert [it.status_code for it in answers] == [400, 403, 200]
    assert answers[0].json()["error"] == "slow_down"


async def test_a_denied_attempt_says_so(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.device.pending_polls = 0
    backend.issuer.device.decision = Decision.DENIED
    answer = await poll(client, await start(client))
    assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")


@pytest.mark.parametrize(("verdict", "status"), [("approve", 200), ("deny", 400)])
async def test_an_open_attempt_waits_for_the_test_to_decide(
    backend: FakeBackend, client: httpx.AsyncClient, verdict: str, status: int
) -> None:
    backend.issuer.device.pending_polls = 0
    backend.issuer.device.decision = Decision.OPEN
    started = await start(client)
    assert [(await poll(client, started)).status_code for _ in range(2)] == [403, 403]
    getattr(backend.issuer.device, verdict)()
    assert (await poll(client, started)).status_code == status


async def test_an_unknown_attempt_is_not_found(client: httpx.AsyncClient) -> None:
    started = await start(client)
    assert (await poll(client, {**started, "user_code": "other"})).status_code == 404
    assert (await poll(client, {**started, "device_auth_id": "other"})).status_code == 404


async def test_device_login_can_be_disabled(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.device.enabled = False
    answer = await client.post("/api/accounts/deviceauth/usercode", json={"client_id": "client"})
    assert answer.status_code == 404


async def test_the_interval_may_be_absent_and_the_code_be_named_differently(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.issuer.device.interval = None
    backend.issuer.device.user_code_field = "usercode"
    assert (await start(client)).keys() == {"device_auth_id", "usercode"}


async def test_the_page_shows_the_codes(client: httpx.AsyncClient) -> None:
    started = await start(client)
    page = await client.get("/codex/device")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert started["user_code"] in page.text
