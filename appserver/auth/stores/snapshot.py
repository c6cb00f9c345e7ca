"""What this process knows of the store: the credential that stands there, and whether somebody else has put it there.

Reads the store only when its version has changed, and says why what it finds cannot be used. Which credential is in
use is the manager's to say.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from appserver.auth.policy import check_credential
from appserver.errors import AuthError, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Hashable

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings

_NEVER_READ = object()
_LOOK_AGAIN = object()


class Stored:
    """The stored credential, as it was found or put there last."""

    def __init__(self, settings: Settings, store: CredentialStore) -> None:
        self.credential: Credential | None = None
        """What stands in the store."""
        self.problem: str | None = None
        """Why that cannot be used, for a person to read."""
        self._settings = settings
        self._store = store
        self._version: Hashable = _NEVER_READ

    @property
    def never_read(self) -> bool:
        """Whether nobody has looked yet."""
        return self._version is _NEVER_READ

    def has_changed(self) -> bool:
        """Look, and say whether another credential stands there than before. Raises StoreBusy: it is not known yet."""
        if (version := self._store.version()) == self._version:
            return False
        try:
            found = self._store.load()
        except StoreError as exc:
            # It may be half-written by a program that does not replace it in one step: look again.
            self._note(exc)
            if self.never_read:
                self._version = version
            return False
        before, self.credential, self._version = self.credential, found, version
        self.usable(found)
        return found != before

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

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there. Raises StoreError."""
        self._store.save(credential)
        self.remember(credential)

    def save_again(self, credential: Credential) -> bool:
        """Store a credential whose storing failed, and say whether it is there. Another process's change counts.

        Raises StoreBusy.
        """
        try:
            self._store.swap(self.credential, credential)
        except StoreError:
            return False  # told when it failed first; a change is found by the next look
        self.remember(credential)
        return True

    def delete(self, *, everywhere: bool) -> Credential | None:
        """Forget what is stored and return it. Raises StoreError."""
        found = self._store.delete(everywhere=everywhere)
        self.remember(None)
        return found

    def try_to_delete(self, *, everywhere: bool) -> Credential | None:
        """Forget what is stored and return it. That it cannot be deleted is told and no failure. Raises StoreBusy."""
        try:
            return self.delete(everywhere=everywhere)
        except StoreError as exc:
            warn(f"the login that is stored stays there: {exc.message}")
        with suppress(StoreError):
            self.credential = self._store.load()
        self._version = self._store.version()  # seen, and not to be used for all that
        return None

    def remember(self, credential: Credential | None) -> None:
        """Note what we have put into the store, so that it is not taken for another process's change.

        The store is read once more at the next look: asking for its version only now could miss a change in between.
        """
        self.credential, self._version, self.problem = credential, _LOOK_AGAIN, None

    def _note(self, exc: AuthError) -> None:
        if self.problem != exc.message:
            self.problem = exc.message
            warn(f"the stored credential is not used: {exc.message}")
