"""One redemption of a refresh token, so that no other process redeems the same one and the answer is not lost.

Under the store's lock: look again at what is stored and take over what a sibling has put there; go on from where one
died; do not redeem what is known to be dead, nor what could not be stored; redeem, and write the answer down before
anything else; store it in place of exactly the credential that was redeemed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.auth.credentials import ManagedTokens
from appserver.auth.dead_tokens import fingerprint
from appserver.auth.refresher import RefreshedTokens, checked, renewed
from appserver.errors import RefreshError, StoreChangedError, StoreError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential
    from appserver.auth.dead_tokens import DeadTokens
    from appserver.auth.refresher import Refresher, RefreshRequest
    from appserver.auth.store import CredentialStore
    from appserver.settings import Settings


_TOKENS = ("access_token", "id_token", "refresh_token")


class Redeemed(NamedTuple):
    """What is to be used from now on (None: another process has signed out), and what stands in the store."""

    credential: Credential | None
    stored: Credential | None


class Redeemer:
    """Redeems refresh tokens against one store."""

    def __init__(
        self, settings: Settings, store: CredentialStore, dead: DeadTokens, timestamp: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._store = store
        self._dead = dead
        self._timestamp = timestamp

    async def redeem(self, refresher: Refresher, request: RefreshRequest, expected: Credential | None) -> Redeemed:
        """Redeem the request's refresh token, or adopt what another process has stored in place of `expected`.

        Raises RefreshError; if the new tokens could not be stored, they are returned all the same.
        """
        try:
            async with self._store.redeeming():
                stored = self._store.load()
                if stored != expected:
                    return Redeemed(stored, stored)
                tokens = await self._tokens(refresher, request)
                return self._stored(self._credential(request, tokens), expected)
        except StoreError as exc:
            raise RefreshError(f"The tokens were not refreshed: {exc.message}") from None

    async def _tokens(self, refresher: Refresher, request: RefreshRequest) -> RefreshedTokens:
        spent = _refresh_token(request)
        if spent is not None:
            if tokens := _tokens_for(spent, self._store.journal.read()):
                return tokens
            if reason := self._dead.reason(spent):
                raise RefreshError(reason, permanent=True)
        try:
            self._store.prove_writable()
        except StoreError as exc:
            raise RefreshError(
                f"The tokens were not refreshed, because new ones could not be stored: {exc.message}"
            ) from None
        with self._store.journal.opened() as write:
            try:
                tokens = checked(await refresher.refresh(request))
            except RefreshError as exc:
                if exc.permanent and spent is not None:
                    self._dead.remember(spent, exc.message)
                raise
            write(_record(spent, tokens))  # first of all: until it is written, a death loses the login
        return tokens

    def _credential(self, request: RefreshRequest, tokens: RefreshedTokens) -> ManagedTokens:
        try:
            new = renewed(self._settings, request.credential, tokens, refreshed_at=self._timestamp())
        except RefreshError as exc:
            self._store.journal.remove()
            spent = _refresh_token(request)
            if tokens.refresh_token is None or spent is None:
                raise
            self._dead.remember(spent, exc.message)  # its successor is no good, and it is good only once
            raise RefreshError(exc.message, permanent=True) from None
        assert isinstance(new, ManagedTokens)  # noqa: S101 - renewed() keeps the kind
        return new

    def _stored(self, new: ManagedTokens, expected: Credential | None) -> Redeemed:
        try:
            if expected is None:
                self._store.save(new)
            else:
                self._store.swap(expected, new)
        except StoreChangedError:
            # Somebody signed in, or out, while the issuer answered. That counts; these tokens are of the old login.
            self._store.journal.remove()
            stored = self._store.load()
            return Redeemed(stored, stored)
        except StoreError:
            return Redeemed(new, expected)
        return Redeemed(new, new)


def _refresh_token(request: RefreshRequest) -> Secret | None:
    credential = request.credential
    return credential.refresh_token if isinstance(credential, ManagedTokens) else None


def _record(spent: Secret | None, tokens: RefreshedTokens) -> dict[str, Any]:
    """Return what the journal keeps of an answer: the tokens, and for which one they were given."""
    return {
        "redeemed_sha256": fingerprint(spent) if spent else None,
        **{name: _revealed(getattr(tokens, name)) for name in _TOKENS},
        "account_id": tokens.account_id,
    }


def _tokens_for(spent: Secret, record: dict[str, Any] | None) -> RefreshedTokens | None:
    """Return the answer in a record, if it is the answer to this refresh token."""
    if record is None or record.get("redeemed_sha256") != fingerprint(spent):
        return None
    access, identity, refresh = (Secret(record[name]) if record.get(name) else None for name in _TOKENS)
    return RefreshedTokens(access, identity, refresh, record.get("account_id"))


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
