"""Any request to the issuer: what happens where it cannot be sent, or is sent elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.errors import LoginError, RefreshError
from tests.auth.oauth_rig import CODE, REFRESH, VERIFIER, assert_no_secret, clients_for, closed_port_url, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.auth.oauth.tokens import TokenClient
    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncIterator[TokenClient]:
    async with clients_for(settings_for(backend.url)) as clients:
        yield clients.tokens


async def test_a_redirect_is_not_followed_with_the_code(backend: FakeBackend, client: TokenClient) -> None:
    backend.issuer.fail_next(307, headers={"location": f"{backend.url}/elsewhere"})
    with pytest.raises(LoginError, match="HTTP 307"):
        await client.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert len(backend.requests) == 1


async def test_an_issuer_that_cannot_be_reached_is_named() -> None:
    url = closed_port_url()
    async with clients_for(settings_for(url)) as clients:
        with pytest.raises(LoginError, match="could not connect") as caught:
            await clients.tokens.exchange_code(CODE, VERIFIER, "http://localhost/")
    assert url in str(caught.value)


async def test_a_url_that_is_none_is_an_error_of_the_request(backend: FakeBackend) -> None:
    settings = settings_for(backend.url)._replace(token_url="http://host:port", revoke_url="nonsense")
    async with clients_for(settings) as clients:
        with pytest.raises(RefreshError, match="URL is not valid"):
            await clients.tokens.refresh(REFRESH)
        await clients.tokens.revoke(REFRESH, "refresh_token")


async def test_a_ca_file_that_cannot_be_read_is_named() -> None:
    settings = settings_for("https://issuer.test")._replace(ca_file="/nowhere.pem", ca_variable="SSL_CERT_FILE")
    async with clients_for(settings) as clients:
        with pytest.raises(RefreshError, match=r"SSL_CERT_FILE=/nowhere\.pem"):
            await clients.tokens.refresh(REFRESH)


async def test_an_error_code_that_is_an_echo_is_not_repeated(backend: FakeBackend, client: TokenClient) -> None:
    backend.issuer.fail_next(400, {"error": REFRESH.reveal()})
    with pytest.raises(RefreshError, match=r"HTTP 400\. ") as caught:
        await client.refresh(REFRESH)
    assert_no_secret(str(caught.value))
