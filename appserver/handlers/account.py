"""Who is signed in, signing in and out: account/read, account/login/*, account/logout and the older getAuthStatus."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.auth.credentials import ApiKey, external_tokens
from appserver.auth.policy import check_external_workspace, check_login_method, check_sendable
from appserver.errors import AuthError, InvalidParams
from appserver.log import warn
from appserver.rpc.router import Accepted, Reply
from protocol.account import plan_type
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from appserver.auth.credentials import Held
    from appserver.auth.login.pending import Login
    from appserver.server.services import Services
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


def read(services: Services, params: AccountReadParams) -> AccountReadResult | Awaitable[AccountReadResult]:
    """Tell who is signed in."""
    if params.get("refreshToken"):
        return _read_refreshed(services)
    return _read(services)


def get_auth_status(
    services: Services, params: GetAuthStatusParams
) -> GetAuthStatusResult | Awaitable[GetAuthStatusResult]:
    """Tell how the user is signed in, with the token if it is asked for."""
    include_token = bool(params.get("includeToken"))
    if params.get("refreshToken"):
        return _status_refreshed(services, include_token=include_token)
    return _status(services, include_token=include_token)


def login_start(services: Services, params: LoginParams) -> Reply | Awaitable[object]:
    """Sign in, or begin to."""
    check_login_method(services.settings, params["type"])
    services.auth.check_turn()
    if params["type"] != "chatgptAuthTokens":
        services.auth.check_not_external()
    match params["type"]:
        case "apiKey":
            return _login_with_api_key(services, params)
        case "chatgptAuthTokens":
            return _login_with_tokens(services, params)
        case "chatgpt":
            return Accepted(_login_with_browser(services, services.logins.begin(by_browser=True)))
        case "chatgptDeviceCode":
            return Accepted(_login_with_device(services, services.logins.begin()))


def login_cancel(services: Services, params: LoginCancelParams) -> LoginCancelResult:
    """Cancel a login that is under way."""
    return {"status": "canceled" if services.logins.cancel(params["loginId"]) else "notFound"}


def logout(services: Services, params: LogoutParams) -> Reply:
    """Sign out, and have the issuer revoke the login unless it is to end on this machine only."""
    services.sign_out(revoke=params.get("scope") != "local")
    result: LogoutResult = {}
    return Reply(result, then=services.tell_account)


def _login_with_api_key(services: Services, params: ApiKeyLogin) -> Reply:
    key = params["apiKey"].reveal().strip()  # white space at its end came with it from a file or the clipboard
    if not key:
        raise InvalidParams("Invalid params for account/login/start: apiKey: must not be empty")
    credential = ApiKey(Secret(key))
    try:
        check_sendable(credential)
    except AuthError as exc:
        raise InvalidParams(f"Invalid params for account/login/start: {exc.message}") from None
    services.auth.sign_in(credential)
    services.logins.cancel_pending()
    return Reply({"type": "apiKey"}, then=partial(services.tell_login, None, None))


def _login_with_tokens(services: Services, params: AuthTokensLogin) -> Reply:
    account_id = params.get("chatgptAccountId")
    try:
        credential = external_tokens(
            params["accessToken"], params.get("idToken"), account_id, params.get("chatgptPlanType")
        )
        check_sendable(credential)
    except AuthError as exc:
        raise InvalidParams(f"Invalid params for account/login/start: {exc.message}") from None
    if credential.account_id is None:
        raise InvalidParams(
            "Invalid params for account/login/start: chatgptAccountId: neither passed nor in the tokens"
        )
    check_external_workspace(services.settings, credential.account_id)
    services.auth.sign_in(credential)
    services.logins.cancel_pending()
    return Reply({"type": "chatgptAuthTokens"}, then=partial(services.tell_login, None, None))


async def _login_with_browser(services: Services, login: Login) -> Reply:
    with services.logins.starting(login):
        await services.logins.port_free(login)
        services.auth.check_not_external()
        flow = services.browser_login()
        url = flow.start()
    services.logins.run(login, partial(services.finish_login, flow))
    result: ChatgptLoginResult = {"type": "chatgpt", "loginId": login.id, "authUrl": url}
    return Reply(result, then=login.known.set)


async def _login_with_device(services: Services, login: Login) -> Reply:
    with services.logins.starting(login):
        flow = services.device_login()
        device = await flow.start()
        services.auth.check_not_external()
    services.logins.run(login, partial(services.finish_login, flow))
    result: DeviceCodeLoginResult = {
        "type": "chatgptDeviceCode",
        "loginId": login.id,
        "verificationUrl": device.verification_url,
        "userCode": device.user_code.reveal(),
    }
    return Reply(result, then=login.known.set)


def _read(services: Services) -> AccountReadResult:
    held, required = _login_in_use(services), services.settings.provider.requires_openai_auth
    result: AccountReadResult = {"account": _account(held) if held else None, "requiresOpenaiAuth": required}
    if required and (reason := services.auth.needs_login):
        result["needsLogin"] = {"reason": reason}
    return result


def _login_in_use(services: Services) -> Held | None:
    """Return the login. A provider that needs none uses none, whatever is stored. Raises StoreBusy."""
    return services.auth.known() if services.settings.provider.requires_openai_auth else None


async def _read_refreshed(services: Services) -> AccountReadResult:
    await _refresh(services)
    return await services.auth.apply(partial(_read, services))


def _status(services: Services, *, include_token: bool) -> GetAuthStatusResult:
    held = _login_in_use(services)
    token = held.credential.bearer.reveal() if held and include_token else None
    if held and held.credential.mode == "personalAccessToken":
        token = None  # as the reference has it
    return {
        "authMethod": held.credential.mode if held else None,
        "authToken": token,
        "requiresOpenaiAuth": services.settings.provider.requires_openai_auth,
    }


async def _status_refreshed(services: Services, *, include_token: bool) -> GetAuthStatusResult:
    await _refresh(services)
    return await services.auth.apply(partial(_status, services, include_token=include_token))


async def _refresh(services: Services) -> None:
    """Refresh a login that is ours to refresh. A failure does not hide who is signed in."""
    held = await services.auth.apply(services.auth.known)
    if held is None or held.credential.mode != "chatgpt":
        return
    try:
        await services.auth.renew(held.generation)
    except AuthError as exc:
        warn(f"the tokens were not refreshed: {exc.message}")


def _account(held: Held) -> Account:
    identity = held.credential.identity
    if not identity.is_chatgpt:
        return {"type": "apiKey"}
    return {"type": "chatgpt", "email": identity.email, "planType": plan_type(identity.plan)}
