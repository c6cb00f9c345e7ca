"""Signing in and out in a program: two calls for each login, tokens of the program's own, and the end of a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from appserver.auth import (
    AuthError,
    LoginError,
    NotSignedIn,
    RefreshedTokens,
    RefreshError,
    RefreshRequest,
    Secret,
)
from appserver.testing import Decision, Profile, RefreshState, make_jwt
from tests.handlers.accounts import browse, store_login, stored

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.auth.library.conftest import Open

pytestmark = pytest.mark.anyio

REVOKE_PATH = "/oauth/revoke"
CALLERS = 20
WAIT_SECONDS = 20.0


# By the user


@pytest.mark.usefixtures("callback_ports")
async def test_a_browser_login_is_two_calls(open_account: Open, home: Path) -> None:
    async with open_account() as account:
        login = await account.login_chatgpt()
        assert "Signed in" in (await browse(login.auth_url))[1]
        info = await login.wait()
        assert (info.mode, info.email, info.account_id) == ("chatgpt", "user@example.com", "org-1")
        assert stored(home)["tokens"]["access_token"] == await account.access_token()


@pytest.mark.usefixtures("callback_ports")
async def test_the_address_of_a_browser_on_another_machine_can_be_pasted(open_account: Open) -> None:
    async with open_account() as account, httpx.AsyncClient() as browser:
        login = await account.login_chatgpt()
        with pytest.raises(LoginError, match="another sign-in"):
            await login.paste("http://localhost:1455/auth/callback?code=other&state=other")
        answer = await browser.get(login.auth_url)
        assert (await login.paste(answer.headers["location"])).signed_in


@pytest.mark.usefixtures("callback_ports")
async def test_a_login_that_is_cancelled_gives_its_port_back(open_account: Open) -> None:
    async with open_account() as account:
        first = await account.login_chatgpt()
        first.cancel()
        first.cancel()
        with pytest.raises(LoginError, match="not completed"):
            await first.wait()
        second = await account.login_chatgpt()
        assert ":1455/" in httpx.URL(second.auth_url).params["redirect_uri"]
        await browse(second.auth_url)
        assert (await second.wait()).signed_in
        second.cancel()
        assert (await account.read()).signed_in


async def test_a_device_login_is_two_calls(open_account: Open, backend: FakeBackend) -> None:
    async with open_account() as account:
        login = await account.login_device_code()
        assert login.verification_url == f"{backend.url}/codex/device"
        assert login.user_code
        assert (await login.wait()).email == "user@example.com"
        assert (await login.wait()).mode == "chatgpt"  # whoever waits again is told at once


async def test_where_device_login_is_not_enabled_the_first_call_says_so(
    open_account: Open, backend: FakeBackend
) -> None:
    backend.issuer.device.enabled = False
    async with open_account() as account:
        with pytest.raises(LoginError):
            await account.login_device_code()


async def test_a_login_that_the_user_refuses_says_why(open_account: Open, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with open_account() as account:
        login = await account.login_device_code()
        backend.issuer.device.deny()
        with anyio.fail_after(WAIT_SECONDS), pytest.raises(LoginError, match="denied"):
            await login.wait()
        with pytest.raises(NotSignedIn):
            await account.access_token()


async def test_a_login_supersedes_the_one_before_it(open_account: Open, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with open_account() as account:
        first = await account.login_device_code()
        second = await account.login_device_code()
        with pytest.raises(LoginError, match="not completed"):
            await first.wait()
        await account.login_api_key("sk-test-0123456789")
        with pytest.raises(LoginError, match="not completed"):
            await second.wait()
        assert (await account.read()).mode == "apikey"


async def test_closing_the_account_ends_a_login(open_account: Open, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with open_account() as account:
        login = await account.login_device_code()
    with pytest.raises(LoginError, match="not completed"):
        await login.wait()


async def test_a_wait_that_is_cancelled_ends_no_login(open_account: Open, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with open_account() as account:
        login = await account.login_device_code()
        with anyio.move_on_after(0):
            await login.wait()
        backend.issuer.device.approve()
        with anyio.fail_after(WAIT_SECONDS):
            assert (await login.wait()).signed_in


# By the program


async def test_an_api_key_is_stored_without_the_white_space_around_it(open_account: Open, home: Path) -> None:
    async with open_account() as account:
        await account.login_api_key("  sk-test-0123456789\n")
        assert await account.access_token() == "sk-test-0123456789"
    assert stored(home)["OPENAI_API_KEY"] == "sk-test-0123456789"


@pytest.mark.parametrize("key", ["", " ", "sk-test\n0123456789", "sk-töst"])
async def test_an_api_key_that_cannot_be_sent_is_refused_and_not_shown(open_account: Open, key: str) -> None:
    async with open_account() as account:
        with pytest.raises(AuthError) as caught:
            await account.login_api_key(key)
        assert not key.strip() or key not in str(caught.value)
        assert not (await account.read()).signed_in


async def test_a_personal_access_token_is_stored_with_its_owner(open_account: Open, backend: FakeBackend) -> None:
    token = backend.personal_access_token()
    async with open_account() as account:
        await account.login_personal_access_token(token)
        info = await account.read()
        assert (info.mode, info.account_id, info.is_renewable) == ("personalAccessToken", "org-1", False)
        assert await account.access_token() == token
        with pytest.raises(AuthError, match="begin with at-"):
            await account.login_personal_access_token("sk-test-0123456789")


async def test_tokens_of_the_program_are_used_and_not_stored(open_account: Open, home: Path) -> None:
    token = make_jwt()
    async with open_account() as account:
        await account.login_tokens(token)
        assert await account.access_token() == token
        assert (await account.read()).mode == "chatgptAuthTokens"
        assert await account.headers() == {"Authorization": f"Bearer {token}", "chatgpt-account-id": "org-1"}
    assert stored(home) is None


async def test_the_refresher_is_asked_once_for_any_number_of_callers(open_account: Open) -> None:
    asked: list[RefreshRequest] = []
    tokens: list[str] = []
    new = make_jwt()

    async def refresher(request: RefreshRequest) -> str:
        asked.append(request)
        await anyio.lowlevel.checkpoint()
        return new

    async with open_account() as account:
        await account.login_tokens(make_jwt(expires_in=-1), refresher=refresher)

        async def ask() -> None:
            tokens.append(await account.access_token())

        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(ask)
    assert tokens == [new] * CALLERS
    assert [request.credential.account_id for request in asked] == ["org-1"]


async def test_a_refresher_may_return_more_than_a_token(open_account: Open) -> None:
    async def refresher(_: RefreshRequest) -> RefreshedTokens:
        return RefreshedTokens(Secret(make_jwt(account=None)), account_id="org-1", plan="team")

    async with open_account() as account:
        await account.login_tokens(make_jwt(expires_in=-1), refresher=refresher)
        await account.access_token()
        assert (await account.read()).plan == "team"


async def test_what_a_refresher_raises_is_told_without_the_secrets_in_it(open_account: Open) -> None:
    token = make_jwt(expires_in=-1)

    async def refresher(_: RefreshRequest) -> str:
        raise ConnectionError(f"the vault is sealed for {token}")

    async with open_account() as account:
        await account.login_tokens(token, refresher=refresher)
        with pytest.raises(RefreshError, match="ConnectionError: the vault is sealed") as caught:
            await account.access_token()
    assert token not in str(caught.value)
    assert not caught.value.permanent


@pytest.mark.parametrize("answer", [None, 7, "", "no JWT", make_jwt(account=None)])
async def test_what_a_refresher_returns_is_checked(open_account: Open, answer: Any) -> None:  # noqa: ANN401 - anything
    async def refresher(_: RefreshRequest) -> str:
        return answer  # type: ignore[no-any-return] # a foreign one may return anything

    async with open_account() as account:
        await account.login_tokens(make_jwt(account="org-1", expires_in=-1), refresher=refresher)
        if answer and isinstance(answer, str) and "." in answer:  # it does not say whose it is: the old one's, then
            assert await account.access_token() == answer
            return
        with pytest.raises(RefreshError):
            await account.access_token()


async def test_without_a_refresher_tokens_that_have_expired_are_an_error(open_account: Open) -> None:
    async with open_account() as account:
        await account.login_tokens(make_jwt(expires_in=-1))
        with pytest.raises(RefreshError, match="no refresher was passed") as caught:
            await account.access_token()
    assert caught.value.permanent


async def test_tokens_of_another_workspace_than_the_allowed_are_refused(open_account: Open, home: Path) -> None:
    (home / "config.toml").write_text('forced_chatgpt_workspace_id = "org-9"')
    async with open_account() as account:
        with pytest.raises(LoginError, match="org-9"):
            await account.login_tokens(make_jwt())


# Out


async def test_a_logout_removes_what_is_stored_and_has_the_issuer_revoke_it(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with open_account() as account:
        await account.logout()
        with pytest.raises(NotSignedIn):
            await account.access_token()
    assert stored(home) is None
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.INVALIDATED


async def test_a_local_logout_tells_nobody(open_account: Open, backend: FakeBackend, home: Path) -> None:
    grant = backend.tokens.issue(Profile())
    store_login(home, grant)
    async with open_account() as account:
        await account.logout(revoke=False)
    assert stored(home) is None
    assert backend.requests.to(REVOKE_PATH) == []
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.LIVE
