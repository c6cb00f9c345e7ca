"""Objects, errors and logs of the requests to the issuer show none of what was sent or received."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from appserver.auth.oauth.device import DeviceGrant
from appserver.auth.oauth.tokens import IssuedTokens, LoginGrant
from appserver.errors import LoginError, RefreshError
from tests.auth.oauth_rig import (
    CODE,
    DEVICE,
    ID_TOKEN,
    REFRESH,
    SECRETS,
    VERIFIER,
    assert_no_secret,
    clients_for,
    closed_port_url,
    settings_for,
)
from tests.auth.told import assert_tells_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from appserver.testing import FakeBackend
    from appserver.testing.issuer import Issuer
    from appserver.testing.service import Body
    from tests.auth.oauth_rig import Clients

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clients(backend: FakeBackend) -> AsyncIterator[Clients]:
    async with clients_for(settings_for(backend.url)) as clients:
        yield clients


def test_no_repr_shows_a_secret() -> None:
    tokens = IssuedTokens(ID_TOKEN, VERIFIER, REFRESH)
    grant = DeviceGrant(CODE, VERIFIER, "challenge")
    assert_no_secret(repr((tokens, LoginGrant(tokens, REFRESH), grant, DEVICE)))


async def test_no_error_and_no_log_at_any_level_shows_a_secret(
    backend: FakeBackend, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    echo = " ".join(SECRETS)
    texts = []
    calls = (
        lambda: clients.tokens.exchange_code(CODE, VERIFIER, "http://localhost/"),
        lambda: clients.tokens.refresh(REFRESH),
        lambda: clients.devices.poll_device(DEVICE),
    )
    for call in calls:
        for status in (200, 400, 401, 500):
            backend.issuer.fail_next(status, {"error": {"code": echo, "message": echo}, "access_token": [echo]})
            with pytest.raises((LoginError, RefreshError)) as caught:
                await call()
            texts.append(f"{caught.value!r} {caught.value.__cause__!r}")
    await clients.tokens.exchange_api_key(ID_TOKEN)
    await clients.tokens.revoke(REFRESH, "refresh_token")
    assert_no_secret(" ".join(texts))
    assert_no_secret(caplog.text)


ISSUED = "a-secret-of-the-issuer-0123456789"
HALF: Body = {
    "id_token": 7,
    "access_token": ISSUED,
    "refresh_token": 7,
    "authorization_code": ISSUED,
    "device_auth_id": ISSUED,
}
"""What is missing or wrong in it makes it malformed, whichever request it answers."""

CALLS: dict[str, Callable[[Clients], Awaitable[object]]] = {
    "exchange_code": lambda clients: clients.tokens.exchange_code(CODE, VERIFIER, "http://localhost/"),
    "refresh": lambda clients: clients.tokens.refresh(REFRESH),
    "request_user_code": lambda clients: clients.devices.request_user_code(),
    "poll_device": lambda clients: clients.devices.poll_device(DEVICE),
}
FAULTS: dict[str, Callable[[Issuer], None]] = {
    "400": lambda issuer: issuer.fail_next(400, {"error": "invalid_grant", "error_description": " ".join(SECRETS)}),
    "401": lambda issuer: issuer.fail_next(401, {"error": {"code": "refresh_token_reused", "message": ISSUED}}),
    "500": lambda issuer: issuer.fail_next(500, " ".join(SECRETS)),
    "expired": lambda issuer: issuer.fail_next(400, {"error": "expired_token", "echo": ISSUED}),
    "text": lambda issuer: issuer.fail_next(200, ISSUED),
    "list": lambda issuer: issuer.fail_next(200, f'["{ISSUED}"]'),
    "half": lambda issuer: issuer.fail_next(200, HALF),
    "not ASCII": lambda issuer: issuer.fail_next(200, dict.fromkeys(HALF, f"{ISSUED}\n")),
    "cut": lambda issuer: issuer.cut_next(),
}
both = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@both
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_no_frame_of_a_failed_request_holds_a_secret(
    backend: FakeBackend,
    clients: Clients,
    call: Callable[[Clients], Awaitable[object]],
    fault: Callable[[Issuer], None],
) -> None:
    fault(backend.issuer)
    with pytest.raises((LoginError, RefreshError)) as caught:
        await call(clients)
    assert_tells_none(caught.value, *SECRETS, ISSUED)


@both
async def test_no_frame_holds_a_secret_where_the_issuer_cannot_be_reached(
    call: Callable[[Clients], Awaitable[object]],
) -> None:
    async with clients_for(settings_for(closed_port_url())) as clients:
        with pytest.raises((LoginError, RefreshError)) as caught:
            await call(clients)
    assert_tells_none(caught.value, *SECRETS)


@both
@pytest.mark.parametrize("function", ["build_request", "send"])
async def test_a_fault_of_the_http_stack_meets_no_secret_in_our_frames(
    clients: Clients, call: Callable[[Clients], Awaitable[object]], function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of a library")

    monkeypatch.setattr(f"httpx.AsyncClient.{function}", break_down)
    with pytest.raises(RuntimeError) as caught:
        await call(clients)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [repr(frame.f_locals) for frame in frames if frame.f_globals["__name__"].startswith("appserver.")]
    assert len(ours) > 1
    assert_no_secret("".join(ours))
