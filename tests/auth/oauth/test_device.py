"""The requests of a device login: what they send, and what is made of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.oauth.device import DeviceClient, DeviceGrant, PollAgain, TransientLoginError
from appserver.errors import LoginError
from protocol.base import Secret
from tests.auth.oauth_rig import DEVICE, clients_for, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend
    from appserver.testing.service import Body

pytestmark = pytest.mark.anyio


USERCODE_PATH, POLL_PATH = "/api/accounts/deviceauth/usercode", "/api/accounts/deviceauth/token"


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncIterator[DeviceClient]:
    async with clients_for(settings_for(backend.url)) as clients:
        yield clients.devices


async def test_a_device_login_begins_with_a_code_and_a_place(backend: FakeBackend, client: DeviceClient) -> None:
    backend.issuer.device.interval = "7"
    device = await client.request_user_code()
    assert device.user_code == Secret("FAKE-0001")
    assert device.interval_seconds == 7
    assert device.verification_url == f"{backend.url}/codex/device"
    [request] = backend.requests.to(USERCODE_PATH)
    assert request.json() == {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann"}
    assert request.headers["originator"] == "lab"


async def test_the_user_code_is_found_under_its_other_name(backend: FakeBackend, client: DeviceClient) -> None:
    backend.issuer.device.user_code_field = "usercode"
    assert (await client.request_user_code()).user_code == Secret("FAKE-0001")


ODD_INTERVALS: tuple[object, ...] = (None, "", "soon", "-1", -1, "nan", "inf", "1e9", True, [], "9" * 400)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("2", 2), (" 3 ", 3), (4, 4), (1.5, 1.5), ("0", 0), *((odd, 5) for odd in ODD_INTERVALS)],
)
async def test_the_interval_is_a_duration_or_five_seconds(
    backend: FakeBackend, client: DeviceClient, interval: object, seconds: float
) -> None:
    backend.issuer.fail_next(200, {"device_auth_id": "d", "user_code": "u", "interval": interval})
    assert (await client.request_user_code()).interval_seconds == seconds


async def test_where_device_login_is_not_enabled_browser_login_is_offered(
    backend: FakeBackend, client: DeviceClient
) -> None:
    backend.issuer.device.enabled = False
    with pytest.raises(LoginError, match=r"not enabled .* browser"):
        await client.request_user_code()


@pytest.mark.parametrize("body", ["text", {}, {"device_auth_id": "d"}, {"device_auth_id": 1, "user_code": "u"}])
async def test_a_malformed_device_code_ends_the_login(backend: FakeBackend, client: DeviceClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used"):
        await client.request_user_code()


async def test_a_poll_gives_a_grant_once_the_user_has_agreed(backend: FakeBackend, client: DeviceClient) -> None:
    device = await client.request_user_code()
    assert await client.poll_device(device) is PollAgain.PENDING
    grant = await client.poll_device(device)
    assert isinstance(grant, DeviceGrant)
    assert grant.challenge
    assert backend.requests.to(POLL_PATH)[0].json() == {
        "device_auth_id": device.device_auth_id.reveal(),
        "user_code": device.user_code.reveal(),
    }


@pytest.mark.parametrize("status", [400, 403, 404, 428, 429])
@pytest.mark.parametrize(
    ("code", "answer"),
    [("authorization_pending", PollAgain.PENDING), ("slow_down", PollAgain.SLOW_DOWN)],
)
async def test_the_codes_of_the_rfc_are_honoured_on_any_4xx(
    backend: FakeBackend, client: DeviceClient, status: int, code: str, answer: PollAgain
) -> None:
    for body in ({"error": code}, {"error": {"code": code}}, {"code": code}):
        backend.issuer.fail_next(status, body)
        assert await client.poll_device(DEVICE) is answer


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("body", ["", {"error": "anything_else"}])
async def test_403_and_404_mean_not_yet(backend: FakeBackend, client: DeviceClient, status: int, body: Body) -> None:
    backend.issuer.fail_next(status, body)
    assert await client.poll_device(DEVICE) is PollAgain.PENDING


@pytest.mark.parametrize("code", ["expired_token", "access_denied"])
@pytest.mark.parametrize("status", [400, 403])
async def test_an_expired_or_denied_code_is_final(
    backend: FakeBackend, client: DeviceClient, code: str, status: int
) -> None:
    backend.issuer.fail_next(status, {"error": code})
    with pytest.raises(LoginError, match=code) as caught:
        await client.poll_device(DEVICE)
    assert not caught.value.retryable


async def test_a_refused_poll_is_final(backend: FakeBackend, client: DeviceClient) -> None:
    backend.issuer.fail_next(400, {"error": "invalid_client"})
    with pytest.raises(LoginError, match="invalid_client") as caught:
        await client.poll_device(DEVICE)
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_poll_that_the_issuer_could_not_serve_is_transient(
    backend: FakeBackend, client: DeviceClient, status: int
) -> None:
    backend.issuer.fail_next(status, {"error": "boom"})
    with pytest.raises(TransientLoginError, match=f"HTTP {status}") as caught:
        await client.poll_device(DEVICE)
    assert caught.value.retryable
    assert caught.value.status == status


async def test_a_poll_without_an_answer_is_transient(backend: FakeBackend, client: DeviceClient) -> None:
    backend.issuer.cut_next()
    with pytest.raises(TransientLoginError) as caught:
        await client.poll_device(DEVICE)
    assert caught.value.status is None


@pytest.mark.parametrize("body", ["text", {"authorization_code": "c"}, {"code_verifier": "v"}])
async def test_a_malformed_grant_is_final(backend: FakeBackend, client: DeviceClient, body: Body) -> None:
    backend.issuer.fail_next(200, body)
    with pytest.raises(LoginError, match="cannot be used") as caught:
        await client.poll_device(DEVICE)
    assert not caught.value.retryable
