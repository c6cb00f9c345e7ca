"""What a credential store does, and the store that keeps nothing beyond the process.

A store keeps one credential for any number of processes, with what belongs to it: the write-ahead record of a
redemption, why the issuer has refused a refresh token, and which logins have ended during a redemption. It has two
locks: a long one around a redemption, so that a single-use refresh token is redeemed once, and a short one around
every change, which `save`, `swap` and `delete` take themselves. `factory.open_store` chooses among those that ship.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from appserver.errors import StoreChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable
    from contextlib import AbstractAsyncContextManager

    from appserver.auth.credentials import Credential
    from protocol.base import Secret

CHANGE_SECONDS = 6.0
"""What `save` and `delete` wait for another process that changes the account too, which takes milliseconds, or for the
keyring, which gets a little less (`os_keyring.ANSWER_SECONDS`)."""

STORE_SECONDS = 2.0
"""What `swap` waits for another process. Turns wait for it, and the write-ahead record has the tokens already."""

REDEEM_PATIENCE = 60.0
"""What `redeeming` waits for another process that redeems the refresh token: that one may wait for the issuer."""


class Contents(NamedTuple):
    """What a store holds."""

    credential: Credential | None = None
    refusal: str | None = None
    """Why the issuer has refused the credential's refresh token for good, None if it has not."""


class Redemption(Protocol):
    """What may be done while the lock of a redemption is held."""

    async def prepare(self) -> None:
        """Make room for a write-ahead record, in place of any other.

        Raises StoreError if the issuer's response could not be kept now: a read-only home, a full disk.
        """

    async def write(self, record: dict[str, Any]) -> None:
        """Persist a record. It stays until the stored credential changes. Never raises."""

    async def discard(self) -> None:
        """Remove the record, if there is one. Never raises."""

    async def has_ended(self, refresh_token: Secret) -> bool:
        """Whether `delete` has ended this token's login everywhere since the lock was taken."""


class CredentialStore(Protocol):
    """Keeps one credential. Coroutines raise StoreError.

    They raise StoreBusy, and nothing has changed, where another process keeps a lock longer than they wait. A change
    that has begun is completed also if its caller is cancelled.
    """

    @property
    def kind(self) -> str:
        """Which kind of place that is: file, keyring or ephemeral. Known once something was loaded."""

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read. Known once something was loaded."""

    def version(self) -> Hashable:
        """Return a value that changes when the contents may have changed. Never waits."""

    def has_record(self) -> bool:
        """Whether there may be a write-ahead record. Never waits."""

    def load_in_place(self) -> Contents:
        """Return the contents, without an event loop. Raises StoreError, and StoreBusy where that might take long."""

    async def load(self) -> Contents:
        """Return the contents."""

    async def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there."""

    async def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` in place of `old`, or of none. Raises StoreChangedError if something else is there by now."""

    async def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Remove the stored credential and return it: None if there was none that made sense.

        `everywhere`: if its refresh token is being redeemed now, by any process, `Redemption.has_ended` tells it.
        """

    async def refuse(self, refresh_token: Secret, reason: str) -> None:
        """Note why the issuer has refused this token for good. The note lasts until the credential changes."""

    async def record(self) -> dict[str, Any] | None:
        """Return the write-ahead record of a redemption that is not stored yet, or None."""

    def redeeming(self) -> AbstractAsyncContextManager[Redemption]:
        """Hold the lock of a redemption."""

    def stop_waiting(self) -> None:
        """From now on, wait neither for another process nor for the keyring: raise StoreBusy instead."""

    def close(self) -> None:
        """Let go of what the store holds beyond its contents, threads for one."""


class MemoryStore:
    """Keeps the credential as long as the process lives. Nothing outlives it, so it needs no write-ahead record."""

    kind = "ephemeral"
    where = "memory, until the process ends"

    def __init__(self) -> None:
        self._contents = Contents()
        self._version = 0
        self._redemption: _MemoryRedemption | None = None

    def version(self) -> Hashable:
        return self._version

    def has_record(self) -> bool:
        return False

    def load_in_place(self) -> Contents:
        return self._contents

    async def load(self) -> Contents:
        return self._contents

    async def save(self, credential: Credential) -> None:
        self._put(Contents(credential))

    async def swap(self, old: Credential | None, new: Credential) -> None:
        if self._contents.credential != old:
            raise StoreChangedError("the stored credential has changed")
        self._put(Contents(new))

    async def delete(self, *, everywhere: bool = False) -> Credential | None:
        found = self._contents.credential
        self._put(Contents())
        if everywhere and self._redemption and found and found.refresh_token:
            self._redemption.ended.add(found.refresh_token)
        return found

    async def refuse(self, refresh_token: Secret, reason: str) -> None:
        credential = self._contents.credential
        if credential is not None and credential.refresh_token == refresh_token:
            self._put(Contents(credential, reason))

    async def record(self) -> dict[str, Any] | None:
        return None

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[Redemption]:
        """Hold nothing: no other process sees this memory, and the manager redeems one token at a time."""
        self._redemption = _MemoryRedemption()
        try:
            yield self._redemption
        finally:
            self._redemption = None

    def stop_waiting(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _put(self, contents: Contents) -> None:
        self._contents = contents
        self._version += 1


class _MemoryRedemption:
    def __init__(self) -> None:
        self.ended: set[Secret] = set()

    async def prepare(self) -> None:
        pass

    async def write(self, record: dict[str, Any]) -> None:
        pass

    async def discard(self) -> None:
        pass

    async def has_ended(self, refresh_token: Secret) -> bool:
        return refresh_token in self.ended
