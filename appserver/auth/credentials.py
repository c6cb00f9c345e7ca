"""What a user is signed in with: four frozen kinds, and the generation number that tells one from the next.

Pure but for a warning. Knows neither where credentials are kept nor how they are renewed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from appserver.auth.claims import Claims, read_claims
from appserver.errors import AuthError
from appserver.log import warn

if TYPE_CHECKING:
    from protocol.account import AuthMode
    from protocol.base import Secret


class ApiKey(NamedTuple):
    """An API key. It does not expire and is not renewed."""

    key: Secret
    mode: AuthMode = "apikey"

    @property
    def bearer(self) -> Secret:
        """What goes into the Authorization header."""
        return self.key


class ManagedTokens(NamedTuple):
    """A ChatGPT login that the server keeps and renews itself."""

    id_token: Secret
    access_token: Secret
    refresh_token: Secret | None
    claims: Claims
    account_id: str | None
    last_refresh: str
    api_key: Secret | None = None
    mode: AuthMode = "chatgpt"

    @property
    def bearer(self) -> Secret:
        """What goes into the Authorization header."""
        return self.access_token


class ExternalTokens(NamedTuple):
    """ChatGPT tokens that the client owns. They live in memory only."""

    access_token: Secret
    claims: Claims
    account_id: str | None
    mode: AuthMode = "chatgptAuthTokens"

    @property
    def bearer(self) -> Secret:
        """What goes into the Authorization header."""
        return self.access_token


class PersonalToken(NamedTuple):
    """A personal access token of ChatGPT: made by its user there, and good until it is revoked there."""

    token: Secret
    claims: Claims = Claims()
    """Whose it is. Without an account: nobody has asked yet."""
    mode: AuthMode = "personalAccessToken"

    @property
    def account_id(self) -> str | None:
        """The workspace that it belongs to, None while that is not known."""
        return self.claims.account_id

    @property
    def bearer(self) -> Secret:
        """What goes into the Authorization header."""
        return self.token


Credential: TypeAlias = ApiKey | ManagedTokens | ExternalTokens | PersonalToken
ChatgptTokens: TypeAlias = ManagedTokens | ExternalTokens


def secrets_of(credential: Credential) -> tuple[Secret | None, ...]:
    """Return everything in a credential that nobody else must see."""
    if isinstance(credential, ApiKey):
        return (credential.key,)
    if isinstance(credential, ExternalTokens | PersonalToken):
        return (credential.bearer,)
    return (credential.access_token, credential.refresh_token, credential.id_token, credential.api_key)


def refresh_token_of(credential: Credential | None) -> Secret | None:
    """Return the refresh token of a managed login that has one."""
    return credential.refresh_token if isinstance(credential, ManagedTokens) else None


class Held(NamedTuple):
    """A credential in use. A call that fails reports the generation it used, so that one refresh serves all."""

    credential: Credential
    generation: int


def external_tokens(
    access_token: Secret, id_token: Secret | None, account_id: str | None, plan: str | None
) -> ExternalTokens:
    """Build the client's tokens from either shape. What was not passed comes from the claims.

    The claims have the last word on the account: some clients pass an e-mail address as its id. Raises AuthError if a
    token is no JWT, or if two tokens belong to different accounts.
    """
    access = _claims(access_token, "access token")
    identity = _claims(id_token, "id token") if id_token else Claims()
    if access.account_id and identity.account_id and access.account_id != identity.account_id:
        raise AuthError("The id token and the access token belong to different accounts")
    claimed_account = access.account_id or identity.account_id
    if account_id and claimed_account and account_id != claimed_account:
        warn("chatgptAccountId is not the account that the token belongs to; the token's is used")
    claims = access._replace(
        email=access.email or identity.email,
        plan=plan or access.plan or identity.plan,
        user_id=access.user_id or identity.user_id,
    )
    return ExternalTokens(access_token, claims, claimed_account or account_id)


def managed_tokens(
    id_token: Secret,
    access_token: Secret,
    refresh_token: Secret | None,
    *,
    last_refresh: str,
    account_id: str | None = None,
    api_key: Secret | None = None,
) -> ManagedTokens:
    """Build a managed login from the issuer's tokens. Raises AuthError if the id token is no JWT.

    The access token may be opaque: only its expiry is read from it.
    """
    identity = _claims(id_token, "id token")
    try:
        expires_at = read_claims(access_token.reveal()).expires_at
    except ValueError:
        expires_at = None
    claims = identity._replace(expires_at=expires_at)
    account = account_id or identity.account_id
    return ManagedTokens(id_token, access_token, refresh_token, claims, account, last_refresh, api_key)


def is_jwt(token: Secret) -> bool:
    """Whether claims can be read from a token."""
    try:
        read_claims(token.reveal())
    except ValueError:
        return False
    return True


def _claims(token: Secret, name: str) -> Claims:
    try:
        return read_claims(token.reveal())
    except ValueError as exc:
        raise AuthError(f"The {name} is not a JWT: {exc}") from None
