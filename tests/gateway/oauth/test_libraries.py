"""Other people's software against the provider: Authlib as a client, and a browser on the pages."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import pytest

from tests.gateway.oauth.browser import (
    APP,
    APP_CALLBACK,
    CALLBACK,
    CLIENT,
    NAME,
    PASSWORD,
    SECRET,
    Browser,
    models_with,
    set_up,
)
from tests.gateway.rig import Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

BROWSER_SECONDS = 30.0


@pytest.fixture
async def gateway(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Running]:
    async with running_gateway(backend, home, database_url=database_url) as running:
        await set_up(running)
        yield running


async def test_authlib_gets_refreshes_and_revokes_tokens(gateway: Running) -> None:
    authlib = pytest.importorskip("authlib.integrations.httpx_client")
    token_url = f"{gateway.url}/oauth/token"
    options = {"redirect_uri": CALLBACK, "scope": "models responses", "code_challenge_method": "S256"}
    async with authlib.AsyncOAuth2Client(CLIENT, SECRET, **options) as client:
        verifier = "v" * 48
        url, state = client.create_authorization_url(f"{gateway.url}/oauth/authorize", code_verifier=verifier)
        browser = Browser(gateway.url)
        query = urlsplit(url).query
        entered = await browser.submit(await browser.open(query), name=NAME, password=PASSWORD)
        consent = await browser.http.get(entered.headers["location"])
        back = (await browser.submit(consent, decision="allow")).headers["location"]
        token = await client.fetch_token(token_url, authorization_response=back, state=state, code_verifier=verifier)
        assert token["scope"] == "models responses"
        assert (await client.get(f"{gateway.url}/v1/models")).status_code == 200
        renewed = await client.refresh_token(token_url, refresh_token=token["refresh_token"])
        assert await models_with(gateway, renewed["access_token"]) == 200
        await client.revoke_token(f"{gateway.url}/oauth/revoke", renewed["refresh_token"], "refresh_token")
    assert await models_with(gateway, renewed["access_token"]) == 401


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("scripts", [True, False])
async def test_a_person_signs_in_and_consents_in_a_browser(gateway: Running, scripts: bool) -> None:
    playwright = pytest.importorskip("playwright.async_api")
    came_back = anyio.Event()
    arrived: list[str] = []
    query = f"response_type=code&client_id={APP}&redirect_uri={APP_CALLBACK}&state=st"
    challenge = f"&code_challenge={'x' * 43}&code_challenge_method=S256"
    async with playwright.async_playwright() as started:
        chromium = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        phone = {"width": 390, "height": 844}
        context = await chromium.new_context(java_script_enabled=scripts, viewport=phone, color_scheme="dark")
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

        async def at_the_client(route: object, request: object) -> None:
            arrived.append(request.url)  # type: ignore[attr-defined]  # playwright's
            await route.fulfill(body="back at the application")  # type: ignore[attr-defined]
            came_back.set()

        await context.route(f"{APP_CALLBACK}**", at_the_client)
        await page.goto(f"{gateway.url}/oauth/authorize?{query}{challenge}")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth") if scripts else True
        await page.get_by_label("Name").fill(NAME)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="An app wants to use your account").wait_for()
        await page.get_by_role("button", name="Allow").click()
        with anyio.fail_after(BROWSER_SECONDS):
            await came_back.wait()
        await chromium.close()
    assert "code=" in arrived[0]
    assert not complaints  # of the content security policy, for one
