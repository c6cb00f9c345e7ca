"""The plug point: how new credentials are had when the old ones are no longer accepted.

A refresher has one method. It does not cache, lock, store or retry: the manager calls it once for any number of
turns that need it, holds what it returns against the old credential, and keeps it. Another package can supply one
through the entry point group `appserver.refreshers` (see docs/refreshers.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from appserver.auth.credentials import ExternalTokens, ManagedTokens, external_tokens, is_jwt, managed_tokens
from appserver.auth.policy import check_credential
from appserver.errors import AuthError, ConfigError, RefreshError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appserver.auth.credentials import ChatgptTokens
    from appserver.settings import Settings

ENTRY_POINT_GROUP = "appserver.refreshers"

NO_REFRESH_TOKEN = "There is no refresh token. Please sign in again."  # noqa: S105 - the lack of one


class RefreshedTokens(NamedTuple):
    """What a refresher returns. What is None stays as it was, or is read from the new tokens' claims."""

    access_token: Secret | None = None
    id_token: Secret | None = None
    refresh_token: Secret | None = None
    account_id: str | None = None
    plan: str | None = None


class RefreshRequest(NamedTuple):
    """What a refresher is told: the credential to be refreshed, and where an answer that is late may go."""

    credential: ChatgptTokens
    late: Callable[[RefreshedTokens], None]


class Refresher(Protocol):
    """Gets new tokens for a credential."""

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens.

        Raises RefreshError; `permanent=True` says that the same credential need not be tried again.
        """


def checked(answer: object) -> RefreshedTokens:
    """Return what a refresher returned if it is of the right types: a foreign one may return anything.

    Raises RefreshError, in which nothing of the answer shows.
    """
    if not isinstance(answer, RefreshedTokens):
        raise RefreshError(f"The refresher returned {type(answer).__name__}, not RefreshedTokens")
    tokens = (answer.access_token, answer.id_token, answer.refresh_token)
    if not all(one is None or isinstance(one, Secret) for one in tokens) or not all(
        one is None or isinstance(one, str) for one in (answer.account_id, answer.plan)
    ):
        raise RefreshError("The refresher returned members of the wrong type")
    return answer


def refreshed(settings: Settings, old: ChatgptTokens, new: RefreshedTokens, *, refreshed_at: str) -> ChatgptTokens:
    """Make a credential of what a refresher returned. Raises RefreshError if it cannot be used."""
    try:
        credential = (
            _refreshed_external(old, new)
            if isinstance(old, ExternalTokens)
            else refreshed_managed(old, new, refreshed_at)
        )
        check_credential(settings, credential)
    except AuthError as exc:
        raise RefreshError(exc.message) from None
    return credential


def _refreshed_external(old: ExternalTokens, new: RefreshedTokens) -> ExternalTokens:
    if new.access_token is None:
        raise AuthError("The refresh brought no access token")
    credential = external_tokens(new.access_token, new.id_token, new.account_id, new.plan)
    claims = credential.claims._replace(
        email=credential.claims.email or old.claims.email,
        plan=credential.claims.plan or old.claims.plan,
    )
    return credential._replace(claims=claims, account_id=credential.account_id or old.account_id)


def refreshed_managed(old: ManagedTokens, new: RefreshedTokens, refreshed_at: str) -> ManagedTokens:
    """Make a managed login of what the issuer answered, whatever the restrictions. Raises AuthError."""
    credential = managed_tokens(
        new.id_token if new.id_token and is_jwt(new.id_token) else old.id_token,
        new.access_token or old.access_token,
        new.refresh_token or old.refresh_token,
        last_refresh=refreshed_at,
        account_id=new.account_id,
        api_key=old.api_key,
    )
    if old.account_id and credential.account_id and credential.account_id != old.account_id:
        raise AuthError(f"The refresh brought tokens of {credential.account_id}, but the login is {old.account_id}")
    return credential._replace(account_id=credential.account_id or old.account_id)


def load_refresher(name: str, options: Mapping[str, Any]) -> Refresher:
    """Make the refresher that config.toml names. Raises ConfigError.

    The entry point is a function that takes the options under [refresher] and returns a Refresher.
    """
    from importlib.metadata import entry_points  # late: scans the installed distributions

    found = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == name]
    if not found:
        raise ConfigError(f'refresher.name: no installed package supplies "{name}"')
    try:
        refresher: Refresher = found[0].load()(options)
    except ConfigError:
        raise
    except Exception as exc:  # anything that a foreign package may raise
        raise ConfigError(f'refresher "{name}" cannot be used: {type(exc).__name__}: {exc}') from exc
    if not callable(getattr(refresher, "refresh", None)):
        raise ConfigError(f'refresher "{name}" has no method refresh')
    return refresher
