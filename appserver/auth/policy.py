"""What the administrator allows: forced_login_method and forced_chatgpt_workspace_id, at login and at refresh.

Pure. The texts are the reference's; clients match on them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from appserver.errors import AuthError, RequestError
from appserver.headers import is_token

if TYPE_CHECKING:
    from appserver.auth.credentials import Credential
    from appserver.settings import Settings

_REFUSED_BY_METHOD = {
    ("chatgpt", "apiKey"): "API key login is disabled. Use ChatGPT login instead.",
    ("api", "chatgpt"): "ChatGPT login is disabled. Use API key login instead.",
    ("api", "chatgptDeviceCode"): "ChatGPT login is disabled. Use API key login instead.",
    ("api", "personalAccessToken"): "Access token login is disabled. Use API key login instead.",
    ("api", "chatgptAuthTokens"): "External ChatGPT auth is disabled. Use API key login instead.",
}


def check_login_method(settings: Settings, login_type: str) -> None:
    """Raise RequestError if this way to sign in is not allowed."""
    refusal = _REFUSED_BY_METHOD.get((settings.forced_login_method or "", login_type))
    if refusal:
        raise RequestError(refusal)


def check_external_workspace(settings: Settings, account_id: str | None) -> None:
    """Raise RequestError if the client's tokens belong to a workspace that is not allowed."""
    allowed = settings.forced_workspaces
    if allowed and account_id not in allowed:
        raise RequestError(
            f"External auth must use one of workspace(s) {json.dumps(allowed)}, but received {json.dumps(account_id)}."
        )


def check_sendable(credential: Credential) -> None:
    """Raise AuthError if a credential cannot stand in an HTTP header (RFC 9110, section 5.5).

    Checked before use, because an HTTP library's own complaint about a header repeats it, credential and all.
    """
    if not is_token(credential.bearer.reveal()):
        raise AuthError(f"The {credential.name} has characters that cannot be sent")
    account_id = credential.account_id
    if account_id is not None and not (account_id.isascii() and account_id.isprintable()):
        raise AuthError("The account id has characters that cannot be sent")


def check_credential(settings: Settings, credential: Credential) -> None:
    """Raise AuthError if a credential, stored or refreshed, may not be used."""
    check_sendable(credential)
    if not credential.identity.is_chatgpt:
        if settings.forced_login_method == "chatgpt":
            raise AuthError("ChatGPT login is required, but an API key is in use")
        return
    if settings.forced_login_method == "api":
        raise AuthError("API key login is required, but ChatGPT is in use")
    allowed = settings.forced_workspaces
    if not credential.is_identified:
        return  # checked once it is known whose it is, which is before it is used
    if allowed and credential.account_id not in allowed:
        raise AuthError(
            f"Login is restricted to workspace(s) {', '.join(allowed)}, "
            f"but current credentials belong to {credential.account_id or 'no workspace'}"
        )
