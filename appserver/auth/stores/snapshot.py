"""What the store held when it was read last: the credential, and whether another process has stored it.

In memory, so that reading it never waits. Says why a stored credential cannot be used. Which credential is in use is
the manager's to say, and so is the order of the calls here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.auth.policy import check_credential
from appserver.errors import AuthError, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Hashable

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import Contents, CredentialStore
    from appserver.settings import Settings

_NEVER_READ = object()
_OUTDATED = object()


class Snapshot:
    """The stored credential, as it was read or written last."""

    def __init__(self, settings: Settings, store: CredentialStore) -> None:
        self.credential: Credential | None = None
        """The stored credential."""
        self.refusal: str | None = None
        """Why the issuer has refused its refresh token for good."""
        self.problem: str | None = None
        """Why the stored credential cannot be used, for a person to read."""
        self.version: Hashable = _NEVER_READ
        """The store's, when it was read."""
        self._settings = settings
        self._store = store

    @property
    def never_read(self) -> bool:
        """Whether the store was not read yet."""
        return self.version is _NEVER_READ

    def read_in_place(self) -> bool:
        """Read the store without an event loop, and return whether its credential is another one.

        Raises StoreBusy where that might take long.
        """
        version = self._store.version()
        try:
            return self._take(self._store.load_in_place(), version)
        except StoreError as exc:
            return self._unreadable(exc, version)

    async def read(self) -> bool:
        """Read the store if it has changed, and return whether its credential is another one. Raises StoreBusy."""
        if (version := self._store.version()) == self.version:
            return False
        try:
            return self._take(await self._store.load(), version)
        except StoreError as exc:
            return self._unreadable(exc, version)

    def usable(self, credential: Credential | None) -> Credential | None:
        """Return a credential of the store's if the restrictions allow it, else None; `problem` tells why."""
        try:
            if credential is not None:
                check_credential(self._settings, credential)
        except AuthError as exc:
            self._note(exc)
            return None
        self.problem = None
        return credential

    async def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there. Raises StoreError, StoreBusy."""
        await self._store.save(credential)
        self.remember(credential)

    async def save_again(self, credential: Credential) -> bool:
        """Store a credential whose storing failed, and return whether it is stored. Another process's change counts.

        Raises StoreBusy.
        """
        try:
            await self._store.swap(self.credential, credential)
        except StoreError:
            return False  # logged when it failed first; a change is found by the next look
        self.remember(credential)
        return True

    async def delete(self, *, everywhere: bool) -> Credential | None:
        """Remove the stored credential and return it. Raises StoreError, StoreBusy."""
        found = await self._store.delete(everywhere=everywhere)
        self.remember(None)
        return found

    async def try_to_delete(self, *, everywhere: bool) -> Credential | None:
        """Remove the stored credential and return it. One that cannot be removed is logged. Raises StoreBusy."""
        try:
            return await self.delete(everywhere=everywhere)
        except StoreError as exc:
            warn(f"the login that is stored stays there: {exc.message}")
        await self.read()  # seen, and not to be used for all that
        return None

    def remember(self, credential: Credential | None) -> None:
        """Note what this process has stored, so that it is not taken for another process's change.

        The store is read once more at the next look: asking for its version only now could miss a change in between.
        """
        self.credential, self.refusal, self.version, self.problem = credential, None, _OUTDATED, None

    def _take(self, found: Contents, version: Hashable) -> bool:
        before, (self.credential, self.refusal), self.version = self.credential, found, version
        self.usable(found.credential)
        return found.credential != before

    def _unreadable(self, exc: StoreError, version: Hashable) -> bool:
        self._note(exc)
        if self.never_read:
            self.version = version  # else a program that does not replace it in one step may be writing it: look again
        return False

    def _note(self, exc: AuthError) -> None:
        if self.problem != exc.message:
            self.problem = exc.message
            warn(f"the stored credential is not used: {exc.message}")
