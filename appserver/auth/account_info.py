"""Who is signed in, as the library tells it. Holds no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appserver.auth.credentials import Credential
    from protocol.account import AuthMode


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountInfo:
    """Who is signed in, and how. Members that are not known are None; later versions may add others."""

    mode: AuthMode | None = None
    """How: "apikey", "chatgpt", "chatgptAuthTokens" or "personalAccessToken"; None if no user is signed in."""
    email: str | None = None
    plan: str | None = None
    """The plan as the protocol names it; one that it does not name is "unknown"."""
    account_id: str | None = None
    """The workspace that is used. One workspace has many users."""
    user_id: str | None = None
    expires_at: float | None = None
    """When the access token expires, in Unix seconds."""
    is_renewable: bool = False
    """Whether another access token can be had in its place without the user."""
    needs_login: str | None = None
    """Why the user has to sign in again, for a person to read; None if they need not, or if nothing is stored."""

    @property
    def signed_in(self) -> bool:
        """Whether there is a credential to use."""
        return self.mode is not None


def account_info(credential: Credential | None, needs_login: str | None) -> AccountInfo:
    """Tell whose a credential is."""
    if credential is None:
        return AccountInfo(needs_login=needs_login)
    identity = credential.identity
    return AccountInfo(
        mode=credential.mode,
        email=identity.email,
        plan=identity.plan,
        account_id=identity.account_id,
        user_id=identity.user_id,
        expires_at=credential.expires_at,
        is_renewable=credential.is_renewable,
        needs_login=needs_login,
    )
