"""forced_login_method and forced_chatgpt_workspace_id: at login, at refresh, and for what is stored already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Profile
from tests.handlers.accounts import browse, store_login, stored, write_auth

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Message

pytestmark = pytest.mark.anyio

START = "account/login/start"
REFRESH = "account/chatgptAuthTokens/refresh"
ONE = 'forced_chatgpt_workspace_id="org-1"'
SEVERAL = 'forced_chatgpt_workspace_id=["org-1","org-3"]'
RESTRICTED = "Login is restricted to workspace(s) org-1, but current credentials belong to org-2"


@pytest.mark.parametrize(
    ("method", "login", "words"),
    [
        ("chatgpt", {"type": "apiKey", "apiKey": "sk-x"}, "API key login is disabled. Use ChatGPT login instead."),
        ("api", {"type": "chatgpt"}, "ChatGPT login is disabled. Use API key login instead."),
        ("api", {"type": "chatgptDeviceCode"}, "ChatGPT login is disabled. Use API key login instead."),
        (
            "api",
            {"type": "chatgptAuthTokens", "accessToken": "any"},
            "External ChatGPT auth is disabled. Use API key login instead.",
        ),
    ],
)
async def test_a_forced_method_refuses_the_others(
    server: ServerFactory, method: str, login: dict[str, Any], words: str
) -> None:
    async with server(f'forced_login_method="{method}"') as peer:
        assert await peer.error(START, login) == {"code": -32600, "message": words}
        assert peer.notifications == []


async def test_a_stored_login_of_another_kind_than_the_forced_one_is_not_used(
    server: ServerFactory, home: Path
) -> None:
    write_auth(home, {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-stored"})
    async with server('forced_login_method="chatgpt"') as peer:
        read = await peer.result("account/read")
        assert read["account"] is None
        assert read["needsLogin"] == {"reason": "ChatGPT login is required, but an API key is in use"}
    assert stored(home)["OPENAI_API_KEY"] == "sk-stored"


async def test_external_tokens_of_another_workspace_are_refused(server: ServerFactory, backend: FakeBackend) -> None:
    login = {"type": "chatgptAuthTokens", "accessToken": backend.grant(account="org-2").access_token}
    words = 'External auth must use one of workspace(s) ["org-1"], but received "org-2".'
    async with server(ONE) as peer:
        for more in ({}, {"chatgptAccountId": "org-1"}):  # the claim counts, whatever is said beside it
            assert await peer.error(START, {**login, **more}) == {"code": -32600, "message": words}
        await peer.login_with_tokens(backend.grant(account="org-1").access_token, chatgptAccountId="org-1")


@pytest.mark.parametrize(("account", "taken"), [("org-1", True), ("org-3", True), ("org-2", False)])
async def test_one_of_several_workspaces_is_enough(
    server: ServerFactory, backend: FakeBackend, account: str, taken: bool
) -> None:
    login = {"type": "chatgptAuthTokens", "accessToken": backend.grant(account=account).access_token}
    async with server(SEVERAL) as peer:
        response = await peer.call(START, login)
        assert ("result" in response) == taken


@pytest.mark.parametrize(("account", "error"), [("org-1", None), ("org-2", RESTRICTED)])
async def test_a_device_login_ends_with_the_workspace_checked(
    server: ServerFactory, backend: FakeBackend, home: Path, account: str, error: str | None
) -> None:
    backend.issuer.profile = Profile(account=account)
    async with server(ONE) as peer:
        login = await peer.result(START, {"type": "chatgptDeviceCode"})
        completed = await peer.notification("account/login/completed")
        assert completed == {"loginId": login["loginId"], "success": error is None, "error": error}
    assert (stored(home) is None) == (error is not None)


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize("setting", [ONE, SEVERAL])
async def test_a_browser_login_names_the_workspaces_to_the_issuer(
    server: ServerFactory, backend: FakeBackend, setting: str
) -> None:
    async with server(setting) as peer:
        login = await peer.result(START, {"type": "chatgpt"})
        await browse(login["authUrl"])
        await peer.notification("account/login/completed", success=True)
    [request] = backend.requests.to("/oauth/authorize")
    assert request.query["allowed_workspace_id"] == ("org-1" if setting == ONE else "org-1,org-3")


async def test_a_stored_login_of_another_workspace_is_not_used(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant(account="org-2"), "org-2")
    async with server(ONE) as peer:
        read = await peer.result("account/read")
        assert read["account"] is None
        assert read["needsLogin"] == {"reason": RESTRICTED}
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "failed"
    assert backend.requests.to("/v1/responses") == []


async def test_the_parents_new_tokens_of_another_workspace_fail_the_turn_and_the_next_one_works(
    server: ServerFactory, backend: FakeBackend
) -> None:
    old = backend.grant()
    backend.expire_access_tokens()
    answers = [backend.grant(account="org-2"), backend.grant(account="org-1")]

    def answer(_: Message) -> Message:
        return {"result": {"accessToken": answers.pop(0).access_token}}

    async with server(ONE) as peer:
        peer.responders[REFRESH] = answer
        await peer.login_with_tokens(old.access_token)
        thread = await peer.start_thread()
        failed = await peer.turn(thread)
        assert failed["status"] == "failed"
        assert failed["error"]["message"] == RESTRICTED
        assert (await peer.turn(thread))["status"] == "completed"
        assert [request["params"]["previousAccountId"] for request in peer.requests] == ["org-1", "org-1"]


async def test_an_issuer_that_answers_for_another_workspace_fails_the_turn_and_stores_nothing(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    before = stored(home)
    backend.expire_access_tokens()
    backend.issuer.refresh_profile = Profile(account="org-2")
    async with server(ONE) as peer:
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "failed"
        assert "org-2" in turn["error"]["message"]
    assert stored(home) == before
