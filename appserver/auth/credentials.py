"""What a user is signed in with: four frozen kinds, and the generation number that tells one from the next.

Pure but for a warning. Knows neither where credentials are kept nor how they are refreshed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from appserver.auth.claims import Claims, read_claims
from appserver.errors import AuthError
from appserver.log import warn
from protocol.account import plan_type

if TYPE_CHECKING:
    from protocol.account import AuthMode
    from protocol.base import Secret


class Identity(NamedTuple):
    """What tells one account from another. Two credentials of one account have the same identity."""

    mode: AuthMode
    account_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    plan: str | None = None
    """As the protocol names it."""
    key: Secret | None = None
    """Of an API key, which says nothing else of its account."""

    @property
    def is_chatgpt(self) -> bool:
        """Whether it is a ChatGPT account. The other kind pays per request, with an API key."""
        return self.key is None


class Kind:
    """What every kind of credential answers, so that no caller asks first which kind it has."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """What an error calls it."""
        return "access token"

    @property
    def bearer(self) -> Secret:
        """What goes into the Authorization header."""
        raise NotImplementedError

    @property
    def secrets(self) -> tuple[Secret | None, ...]:
        """Everything in it that must not be shown."""
        return (self.bearer,)

    @property
    def refresh_token(self) -> Secret | None:
        """What the issuer gives new tokens for, once."""
        return None

    @property
    def expires_at(self) -> float | None:
        """In Unix seconds; None if it does not say."""
        return None

    @property
    def is_renewable(self) -> bool:
        """Whether tokens can be had in its place without the user."""
        return self.refresh_token is not None

    @property
    def is_external(self) -> bool:
        """Whether the client owns it: then no store keeps it."""
        return False

    @property
    def is_identified(self) -> bool:
        """Whether it is known whose it is. Before that, it is not used."""
        return True

    @property
    def identity(self) -> Identity:
        """Whose it is."""
        raise NotImplementedError


# The fields are bases of their own, because a NamedTuple has no other base.


class _ApiKey(NamedTuple):
    key: Secret
    mode: AuthMode = "apikey"


class ApiKey(_ApiKey, Kind):
    """An API key. It does not expire, and does not say to which account it belongs."""

    __slots__ = ()
    account_id: None = None

    @property
    def name(self) -> str:
        return "API key"

    @property
    def bearer(self) -> Secret:
        return self.key

    @property
    def identity(self) -> Identity:
        return Identity(self.mode, key=self.key)


class _ManagedTokens(NamedTuple):
    id_token: Secret
    access_token: Secret
    refresh_token: Secret | None
    claims: Claims
    account_id: str | None
    last_refresh: str
    api_key: Secret | None = None
    mode: AuthMode = "chatgpt"


class ManagedTokens(_ManagedTokens, Kind):
    """A ChatGPT login that the server keeps and refreshes itself."""

    __slots__ = ()

    @property
    def bearer(self) -> Secret:
        return self.access_token

    @property
    def secrets(self) -> tuple[Secret | None, ...]:
        return (self.access_token, self.refresh_token, self.id_token, self.api_key)

    @property
    def expires_at(self) -> float | None:
        return self.claims.expires_at

    @property
    def identity(self) -> Identity:
        return _identity(self.mode, self.account_id, self.claims)


class _ExternalTokens(NamedTuple):
    access_token: Secret
    claims: Claims
    account_id: str | None
    mode: AuthMode = "chatgptAuthTokens"


class ExternalTokens(_ExternalTokens, Kind):
    """ChatGPT tokens that the client owns. They live in memory only, and the client is asked for others."""

    __slots__ = ()

    @property
    def bearer(self) -> Secret:
        return self.access_token

    @property
    def expires_at(self) -> float | None:
        return self.claims.expires_at

    @property
    def is_renewable(self) -> bool:
        return True

    @property
    def is_external(self) -> bool:
        return True

    @property
    def identity(self) -> Identity:
        return _identity(self.mode, self.account_id, self.claims)


class _PersonalToken(NamedTuple):
    token: Secret
    claims: Claims = Claims()
    """Whose it is. Without an account: that is not known yet."""
    mode: AuthMode = "personalAccessToken"


class PersonalToken(_PersonalToken, Kind):
    """A personal access token of ChatGPT: made by its user there, and good until it is revoked there."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return "personal access token"

    @property
    def bearer(self) -> Secret:
        return self.token

    @property
    def account_id(self) -> str | None:
        return self.claims.account_id

    @property
    def is_identified(self) -> bool:
        return self.account_id is not None

    @property
    def identity(self) -> Identity:
        return _identity(self.mode, self.account_id, self.claims)


Credential: TypeAlias = ApiKey | ManagedTokens | ExternalTokens | PersonalToken
ChatgptTokens: TypeAlias = ManagedTokens | ExternalTokens


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


def _identity(mode: AuthMode, account_id: str | None, claims: Claims) -> Identity:
    return Identity(mode, account_id, claims.user_id, claims.email, plan_type(claims.plan))


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
