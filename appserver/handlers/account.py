"""Who is signed in, signing in and out: account/read, account/login/*, account/logout and the older getAuthStatus."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.auth.policy import check_external_workspace, check_login_method
from appserver.errors import AuthError, InvalidParams
from appserver.log import warn
from appserver.rpc.router import Accepted, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from appserver.auth.credentials import Identity
    from appserver.auth.login.pending import Login
    from appserver.server.workspace import Client
    from protocol.account import (
        Account,
        AccountReadParams,
        AccountReadResult,
        ApiKeyLogin,
        AuthTokensLogin,
        ChatgptLoginResult,
        DeviceCodeLoginResult,
        GetAuthStatusParams,
        GetAuthStatusResult,
        LoginCancelParams,
        LoginCancelResult,
        LoginParams,
        LogoutParams,
        LogoutResult,
    )


def read(client: Client, params: AccountReadParams) -> AccountReadResult | Awaitable[AccountReadResult]:
    """Tell who is signed in."""
    if params.get("refreshToken"):
        return _read_refreshed(client)
    return client.workspace.account.auth.when_current(partial(_read, client))


def get_auth_status(
    client: Client, params: GetAuthStatusParams
) -> GetAuthStatusResult | Awaitable[GetAuthStatusResult]:
    """Tell how the user is signed in, with the token if it is asked for."""
    include_token = bool(params.get("includeToken"))
    if params.get("refreshToken"):
        return _status_refreshed(client, include_token=include_token)
    return client.workspace.account.auth.when_current(partial(_status, client, include_token=include_token))


def login_start(client: Client, params: LoginParams) -> Reply | Awaitable[Reply]:
    """Sign in, or begin to."""
    check_login_method(client.workspace.settings, params["type"])
    auth = client.workspace.account.auth
    match params["type"]:
        case "apiKey":
            return auth.in_order(partial(_login_with_api_key, client, params))
        case "chatgptAuthTokens":
            return auth.when_free(partial(_login_with_tokens, client, params))
        case "chatgpt":
            return auth.when_free(partial(_begin_browser, client))
        case "chatgptDeviceCode":
            return auth.when_free(partial(_begin_device, client))


def login_cancel(client: Client, params: LoginCancelParams) -> LoginCancelResult:
    """Cancel a login that is under way."""
    return {"status": "canceled" if client.workspace.account.logins.cancel(params["loginId"]) else "notFound"}


def logout(client: Client, params: LogoutParams) -> Awaitable[Reply]:
    """Sign out, and have the issuer revoke the login unless it is to end on this machine only."""
    revoke = params.get("scope") != "local"
    return client.workspace.account.auth.in_order(partial(_logout, client, revoke=revoke))


async def _logout(client: Client, *, revoke: bool) -> Reply:
    await client.workspace.account.sign_out(revoke=revoke)
    result: LogoutResult = {}
    return Reply(result, then=client.workspace.account.tell)


async def _login_with_api_key(client: Client, params: ApiKeyLogin) -> Reply:
    from appserver.auth.supplied import supplied_api_key  # late: the first answers need none of it

    account = client.workspace.account
    account.auth.check_not_external()
    try:
        credential = supplied_api_key(params["apiKey"])
    except AuthError as exc:
        raise InvalidParams(f"Invalid params for account/login/start: {exc.message}") from None
    await account.sign_in(credential)
    return Reply({"type": "apiKey"}, then=partial(account.tell_login, None, None))


def _login_with_tokens(client: Client, params: AuthTokensLogin) -> Reply:
    from appserver.auth.supplied import supplied_tokens  # late: the first answers need none of it

    account_id, plan = params.get("chatgptAccountId"), params.get("chatgptPlanType")
    try:
        credential = supplied_tokens(params["accessToken"], params.get("idToken"), account_id, plan)
    except AuthError as exc:
        raise InvalidParams(f"Invalid params for account/login/start: {exc.message}") from None
    check_external_workspace(client.workspace.settings, credential.account_id)
    client.workspace.account.sign_in_external(credential, client)
    return Reply({"type": "chatgptAuthTokens"}, then=partial(client.workspace.account.tell_login, None, None))


def _begin_browser(client: Client) -> Accepted[Reply]:
    client.workspace.account.auth.check_not_external()
    return Accepted(_login_with_browser(client, client.workspace.account.logins.begin(by_browser=True)))


def _begin_device(client: Client) -> Accepted[Reply]:
    client.workspace.account.auth.check_not_external()
    return Accepted(_login_with_device(client, client.workspace.account.logins.begin()))


async def _login_with_browser(client: Client, login: Login) -> Reply:
    _, url = await client.workspace.account.start_browser_login(login, client.session)
    result: ChatgptLoginResult = {"type": "chatgpt", "loginId": login.id, "authUrl": url}
    return Reply(result, then=login.known.set)


async def _login_with_device(client: Client, login: Login) -> Reply:
    device = await client.workspace.account.start_device_login(login, client.session)
    result: DeviceCodeLoginResult = {
        "type": "chatgptDeviceCode",
        "loginId": login.id,
        "verificationUrl": device.verification_url,
        "userCode": device.user_code.reveal(),
    }
    return Reply(result, then=login.known.set)


def _read(client: Client) -> AccountReadResult:
    auth, required = client.workspace.account.auth, client.workspace.settings.provider.requires_openai_auth
    if not required:  # then the provider uses none, whatever is stored
        return {"account": None, "requiresOpenaiAuth": False}
    result: AccountReadResult = {"account": _account(auth.identity), "requiresOpenaiAuth": True}
    if reason := auth.needs_login:
        result["needsLogin"] = {"reason": reason}
    return result


async def _read_refreshed(client: Client) -> AccountReadResult:
    await _refresh(client)
    await client.workspace.account.auth.look()
    return _read(client)


def _status(client: Client, *, include_token: bool) -> GetAuthStatusResult:
    required = client.workspace.settings.provider.requires_openai_auth
    held = client.workspace.account.auth.current() if required else None
    token = held.credential.bearer.reveal() if held and include_token else None
    if held and not client.workspace.account.may_read_token(held.credential, client.session):
        token = None
    if held and held.credential.mode == "personalAccessToken":
        token = None  # as the reference has it
    return {
        "authMethod": held.credential.mode if held else None,
        "authToken": token,
        "requiresOpenaiAuth": required,
    }


async def _status_refreshed(client: Client, *, include_token: bool) -> GetAuthStatusResult:
    await _refresh(client)
    await client.workspace.account.auth.look()
    return _status(client, include_token=include_token)


async def _refresh(client: Client) -> None:
    """Refresh a login that is ours to refresh. A failure does not hide who is signed in."""
    held = await client.workspace.account.auth.look()
    if held is None or held.credential.mode != "chatgpt":
        return
    try:
        await client.workspace.account.auth.refresh(held.generation)
    except AuthError as exc:
        warn(f"the tokens were not refreshed: {exc.message}")


def _account(identity: Identity | None) -> Account | None:
    if identity is None:
        return None
    if identity.mode == "apikey":
        return {"type": "apiKey"}
    return {"type": "chatgpt", "email": identity.email, "planType": identity.plan}
