"""The keyring where it works, else auth.json. Decided once, when first used, and said in the log.

With a working keyring, a login that is already in auth.json stays there and is used until the next login; so
switching to "auto" signs no user out. Signing out forgets both.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from appserver.auth.stores.file import FileStore
from appserver.auth.stores.keyring import KeyringStore
from appserver.errors import StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import Contents
    from appserver.auth.stores.document import DocumentStore, FileRedemption
    from appserver.auth.stores.os_keyring import HomeKey
    from protocol.base import Secret


class AutoStore:
    """Keeps the credential in the keyring if there is one, else in auth.json."""

    def __init__(self, home: str, key: HomeKey | None = None) -> None:
        self._file = FileStore(home)
        self._keyring = KeyringStore(home, key)

    @property
    def kind(self) -> str:
        """Which of the two it is."""
        return self._current.kind

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read, and why it is not the keyring."""
        why = f" (the keyring is not used: {self._obstacle})" if self._obstacle else ""
        return f"{self._current.where}{why}"

    def version(self) -> Hashable:
        """Return what changes with either of the two."""
        return self._keyring.version(), self._file.version()

    def has_record(self) -> bool:
        """Whether there may be a write-ahead record."""
        return self._keyring.has_record() or self._file.has_record()

    def load_in_place(self) -> Contents:
        """Raise StoreBusy: the keyring may have to start its service."""
        return self._keyring.load_in_place()

    def load(self) -> Contents:
        """Return the contents."""
        return self._current.load()

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there."""
        if self._obstacle:
            self._file.save(credential)
            return
        self._keyring.save(credential)
        self._file.write_ahead().remove()
        if self._file.exists():
            warn(f"{self._file.where}: still holds an earlier login; it is not used any more, and can be removed")

    def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` where `old` is. Raises StoreChangedError if something else is there by now."""
        self._current.swap(old, new)

    def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Remove the stored credential and return it.

        An earlier one in auth.json goes as well, or it would come back.
        """
        kept = None if self._obstacle else self._keyring.delete(everywhere=everywhere)
        earlier = self._file.delete(everywhere=everywhere)
        return kept or earlier

    def refuse(self, refresh_token: Secret, reason: str) -> None:
        """Note why the issuer has refused this token for good."""
        self._current.refuse(refresh_token, reason)

    def record(self) -> dict[str, Any] | None:
        """Return the write-ahead record of a redemption that is not stored yet, or None."""
        return self._current.record()

    def redemption(self) -> FileRedemption:
        """Return the redemption of what is stored now: the next login may go to another place meanwhile."""
        return self._current.redemption()

    def give_up(self) -> None:
        """Wait for the keyring no longer."""
        self._keyring.give_up()

    @property
    def _current(self) -> DocumentStore:
        """Where the login is that is in use, or where the next one goes."""
        if self._obstacle or (not self._keyring.exists() and self._file.exists()):
            return self._file
        return self._keyring

    @cached_property
    def _obstacle(self) -> str | None:
        """Why the keyring is not used, or None if it is. Raises StoreBusy if it was given up: that is not known yet."""
        import logging  # late: like the rest of this, only where "auto" was asked for

        try:
            self._keyring.check()
        except StoreError as exc:
            logging.getLogger("appserver").info("credentials are kept in a file: %s", exc.message)
            return exc.message
        logging.getLogger("appserver").info("credentials are kept with the keyring")
        return None
