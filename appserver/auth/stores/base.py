"""What a credential store does, and the one that keeps nothing beyond the process.

A store keeps one credential for any number of processes. It offers two locks: a long one around a redemption, so that
a single-use refresh token is redeemed once, and a short one around every change, which `save`, `swap` and `delete` take
themselves. The stores that ship: `MemoryStore` here, `file_store.FileStore`, `keyring_store.KeyringStore` and
`auto_store.AutoStore`; `stores.open_store` chooses.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from appserver.errors import StoreChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from appserver.auth.credentials import Credential
    from protocol.base import Secret


class RedemptionJournal(Protocol):
    """Keeps the issuer's answer until the store has it. For whoever holds the lock of a redemption; never raises."""

    def exists(self) -> bool:
        """Whether there is a record; cheap to ask for."""

    def read(self) -> dict[str, Any] | None:
        """Return the record that a process left which has died, or None."""

    def opened(self) -> AbstractContextManager[Callable[[dict[str, Any]], None]]:
        """Make room for a record and yield what writes it. One that was written stays until the store changes."""

    def remove(self) -> None:
        """Remove the record, if there is one."""


class CredentialStore(Protocol):
    """Keeps one credential. Every method raises StoreError.

    None waits: where another process holds a lock, or the keyring has not answered yet, it raises StoreBusy and has
    changed nothing, and is called again.
    """

    @property
    def journal(self) -> RedemptionJournal:
        """What was redeemed and is not stored yet."""

    @property
    def kind(self) -> str:
        """Which kind of place that is: file, keyring or ephemeral."""

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read."""

    def version(self) -> Hashable:
        """Return a value that changes when the stored credential may have changed; cheap to ask for."""

    def load(self) -> Credential | None:
        """Return the stored credential."""

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there."""

    def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` in place of `old`, or of none. Raises StoreChangedError if something else is there by now."""

    def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Forget the stored credential and return it: None if there was none that made sense.

        `everywhere`: if its refresh token is being redeemed now, by any process, `has_ended` says so to that one.
        """

    def has_ended(self, refresh_token: Secret) -> bool:
        """Whether `delete` has ended this token's login everywhere since `redeeming` was entered."""

    def prove_writable(self) -> None:
        """Raise StoreError if a credential could not be stored now. Changes nothing."""

    def redeeming(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock of a redemption. Raises StoreError if another process keeps it too long."""


class MemoryStore:
    """Keeps the credential as long as the process lives."""

    kind = "ephemeral"
    where = "memory, until the process ends"

    def __init__(self) -> None:
        self.journal: RedemptionJournal = _NoJournal()
        self._credential: Credential | None = None
        self._version = 0
        self._redeeming = False
        self._ended: set[Secret] = set()

    def version(self) -> Hashable:
        """Return a value that changes when the stored credential may have changed."""
        return self._version

    def load(self) -> Credential | None:
        """Return the stored credential."""
        return self._credential

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there."""
        self._credential = credential
        self._version += 1

    def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` in place of `old`, or of none. Raises StoreChangedError if something else is there by now."""
        if self._credential != old:
            raise StoreChangedError("the stored credential has changed")
        self.save(new)

    def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Forget the stored credential and return it."""
        found, self._credential = self._credential, None
        self._version += 1
        if everywhere and self._redeeming and found and found.refresh_token:
            self._ended.add(found.refresh_token)
        return found

    def has_ended(self, refresh_token: Secret) -> bool:
        """Whether `delete` has ended this token's login everywhere since `redeeming` was entered."""
        return refresh_token in self._ended

    def prove_writable(self) -> None:
        """Do nothing: memory can be written."""

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[None]:
        """Hold nothing: no other process sees this memory, and the manager redeems one token at a time."""
        self._redeeming = True
        try:
            yield
        finally:
            self._redeeming = False
            self._ended.clear()


class _NoJournal:
    """For a store that a death takes along."""

    def exists(self) -> bool:
        return False

    def read(self) -> dict[str, Any] | None:
        return None

    @contextmanager
    def opened(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        yield lambda _: None

    def remove(self) -> None:
        pass
