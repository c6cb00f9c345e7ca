"""One redemption of a refresh token, so that no other process redeems the same one and the answer is not lost.

Under the store's lock: look again at what is stored and take over what a sibling has put there; do not redeem what is
known to be dead, nor what could not be stored; redeem; store in place of exactly the credential that was redeemed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.auth.credentials import ManagedTokens
from appserver.auth.refresher import renewed
from appserver.errors import RefreshError, StoreChangedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential
    from appserver.auth.dead_tokens import DeadTokens
    from appserver.auth.refresher import Refresher, RefreshRequest
    from appserver.auth.store import CredentialStore
    from appserver.settings import Settings


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
                new = await self._new_tokens(refresher, request)
                return self._stored(new, expected)
        except StoreError as exc:
            raise RefreshError(f"The tokens were not refreshed: {exc.message}") from None

    async def _new_tokens(self, refresher: Refresher, request: RefreshRequest) -> ManagedTokens:
        old = request.credential
        token = old.refresh_token if isinstance(old, ManagedTokens) else None
        if token is not None and (reason := self._dead.reason(token)):
            raise RefreshError(reason, permanent=True)
        try:
            self._store.prove_writable()
        except StoreError as exc:
            raise RefreshError(
                f"The tokens were not refreshed, because new ones could not be stored: {exc.message}"
            ) from None
        try:
            tokens = await refresher.refresh(request)
        except RefreshError as exc:
            if exc.permanent and token is not None:
                self._dead.remember(token, exc.message)
            raise
        new = renewed(self._settings, old, tokens, refreshed_at=self._timestamp())
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
            stored = self._store.load()
            return Redeemed(stored, stored)
        except StoreError:
            return Redeemed(new, expected)
        return Redeemed(new, new)
