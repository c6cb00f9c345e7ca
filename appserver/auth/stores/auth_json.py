"""The shape of auth.json: its members to a credential, and back.

Pure. Other programs read and write the same file: members that stand for no credential of ours are left as they are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from appserver.auth.claims import Claims
from appserver.auth.credentials import ApiKey, ExternalTokens, ManagedTokens, PersonalToken, managed_tokens
from appserver.errors import AuthError, StoreError
from protocol.base import Secret

if TYPE_CHECKING:
    from appserver.auth.credentials import Credential


PERSONAL_TOKEN = "personal_access_token"  # noqa: S105 - the name of a member

OWNER = "personal_access_token_owner"
"""Ours alone: whose that token is, so that a start need not ask. Other programs leave it, or take it away."""


def parse_document(data: bytes) -> dict[str, Any]:
    """Read the bytes of auth.json. Raises ValueError with a text that does not repeat them."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def document_bytes(document: dict[str, Any]) -> bytes:
    """Return what parse_document reads. Raises ValueError for members that Python reads but cannot write."""
    try:
        return json.dumps(document, indent=2).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def credential_in(document: dict[str, Any]) -> Credential | None:
    """Return the credential that a document holds. Raises AuthError if what is there makes no sense."""
    key, tokens = _secret(document, "OPENAI_API_KEY"), document.get("tokens")
    personal = _secret(document, PERSONAL_TOKEN)
    mode = document.get("auth_mode") or ("personalAccessToken" if personal else "apikey" if key else "chatgpt")
    if mode == "personalAccessToken":
        return PersonalToken(personal, _owner(document.get(OWNER))) if personal else None
    if mode == "apikey":
        return ApiKey(key) if key else None
    if mode != "chatgpt" or not isinstance(tokens, dict):
        return None  # a way to sign in that we do not speak: not ours to use, nor to destroy
    return _managed(tokens, document.get("last_refresh"), key)


def document_with(document: dict[str, Any], credential: Credential) -> dict[str, Any]:
    """Return a document with a credential in place of the one before. Raises StoreError for external tokens."""
    ours = ("auth_mode", "tokens", "last_refresh", PERSONAL_TOKEN, OWNER)
    others = {key: value for key, value in document.items() if key not in ours}
    match credential:
        case PersonalToken():  # without a mode, as the reference writes it
            owner = {OWNER: credential.claims._asdict()} if credential.is_identified else {}
            return {**others, "OPENAI_API_KEY": None, PERSONAL_TOKEN: credential.token.reveal(), **owner}
        case ApiKey():
            return {**others, "auth_mode": "apikey", "OPENAI_API_KEY": credential.key.reveal()}
        case ManagedTokens():
            return {**others, **_managed_members(credential, document.get("tokens"))}
        case ExternalTokens():
            raise StoreError("external tokens are never stored")


def _managed_members(credential: ManagedTokens, known: object) -> dict[str, Any]:
    """`known`: the tokens that the document has so far; members of other programs among them stay."""
    return {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": credential.api_key.reveal() if credential.api_key else None,
        "tokens": {
            **(known if isinstance(known, dict) else {}),
            "id_token": credential.id_token.reveal(),
            "access_token": credential.access_token.reveal(),
            "refresh_token": credential.refresh_token.reveal() if credential.refresh_token else "",
            "account_id": credential.account_id,
        },
        "last_refresh": credential.last_refresh,
    }


def _managed(tokens: dict[str, Any], last_refresh: object, key: Secret | None) -> ManagedTokens:
    id_token, access_token = _secret(tokens, "id_token"), _secret(tokens, "access_token")
    if id_token is None or access_token is None:
        raise AuthError("the tokens are incomplete")
    account_id = tokens.get("account_id")
    return managed_tokens(
        id_token,
        access_token,
        _secret(tokens, "refresh_token"),
        last_refresh=last_refresh if isinstance(last_refresh, str) else "",
        account_id=account_id if isinstance(account_id, str) else None,
        api_key=key,
    )


def _owner(members: object) -> Claims:
    """Read whose a token is. A member of the wrong type counts as missing."""
    known = members if isinstance(members, dict) else {}

    def text(name: str) -> str | None:
        value = known.get(name)
        return value if isinstance(value, str) and value else None

    return Claims(text("email"), text("plan"), text("user_id"), text("account_id"))


def _secret(members: dict[str, Any], name: str) -> Secret | None:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        return None
    if not value.isascii():  # RFC 6749, appendix A; half a surrogate pair could not even be hashed
        raise AuthError(f"{name} has characters that no token has")
    return Secret(value)
