"""Credentials that the caller brings along: an API key, ChatGPT tokens, a personal access token. Checked before use.

Pure. Whose a personal access token is, the account service has to be asked (`authentication.identify`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.auth.credentials import ApiKey, PersonalToken, external_tokens
from appserver.auth.policy import check_sendable
from appserver.errors import AuthError
from protocol.base import Secret

if TYPE_CHECKING:
    from appserver.auth.credentials import ExternalTokens

PERSONAL_TOKEN_PREFIX = "at-"  # noqa: S105 - what such a token begins with
"""The reference also takes a JWT of an agent, which is another way to sign in."""


def supplied_api_key(key: Secret) -> ApiKey:
    """Make a credential of an API key. White space at its end came with it from a file or the clipboard.

    Raises AuthError if it cannot be sent.
    """
    credential = ApiKey(Secret(key.reveal().strip()))
    if not credential.key:
        raise AuthError("The API key is empty")
    check_sendable(credential)
    return credential


def supplied_tokens(
    access_token: Secret, id_token: Secret | None, account_id: str | None, plan: str | None
) -> ExternalTokens:
    """Make a credential of ChatGPT tokens that the caller owns.

    Raises AuthError if they cannot be used, or do not say whose they are.
    """
    credential = external_tokens(access_token, id_token, account_id, plan)
    check_sendable(credential)
    if credential.account_id is None:
        raise AuthError("The account id (chatgptAccountId) is neither passed nor in the tokens")
    return credential


def supplied_personal_token(token: Secret) -> PersonalToken:
    """Make a credential of a personal access token, whose owner is not known yet. Raises AuthError."""
    if not token.reveal().startswith(PERSONAL_TOKEN_PREFIX):
        raise AuthError(f"That is no personal access token: they begin with {PERSONAL_TOKEN_PREFIX}")
    credential = PersonalToken(token)
    check_sendable(credential)
    return credential
