"""Objects, errors and logs of the requests to the issuer show none of what was sent or received."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.oauth_device import DeviceGrant
from appserver.auth.oauth_tokens import IssuedTokens, LoginGrant
from appserver.errors import LoginError, RefreshError
from protocol.base import Secret
from tests.auth.oauth_rig import (
    CODE,
    DEVICE,
    ID_TOKEN,
    REFRESH,
    SECRETS,
    VERIFIER,
    assert_no_secret,
    clients_for,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend
    from tests.auth.oauth_rig import Clients

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clients(backend: FakeBackend) -> AsyncIterator[Clients]:
    async with clients_for(settings_for(backend.url)) as clients:
        yield clients


def test_no_repr_shows_a_secret() -> None:
    tokens = IssuedTokens(ID_TOKEN, VERIFIER, REFRESH)
    grant = DeviceGrant(Secret(CODE), VERIFIER, "challenge")
    shown = repr((tokens, LoginGrant(tokens, REFRESH), grant, DEVICE))
    assert_no_secret(shown)
    assert DEVICE.user_code not in shown


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
