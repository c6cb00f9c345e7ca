"""The HTTP stack: what every request has in common, whoever sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.http import Http
from appserver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    stack = Http(Settings("/nowhere"))
    yield stack
    await stack.close()


@pytest.mark.parametrize("domain", ["", "; Domain=127.0.0.1", "; Path=/; Max-Age=3600"])
async def test_no_cookie_is_kept_or_sent(http: Http, backend: FakeBackend, domain: str) -> None:
    backend.model.fail_next(200, headers={"set-cookie": f"session=of-another-account{domain}"})
    for _ in range(2):
        await http.client(backend.url).get(f"{backend.url}/v1/models")
    assert ["cookie" in request.headers for request in backend.requests] == [False, False]
    assert not http.client(backend.url).cookies
