"""What every store in a file does: read, change and compare under the lock, and keep aside what makes no sense.

How a document becomes bytes is the codec's business, how they get to the disk `private_file`'s, and what stands in
the document `auth_json`'s.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from appserver.auth.stores.atomic_file import OccupiedError, UnreadableError
from appserver.auth.stores.auth_json import credential_in, document_with
from appserver.auth.stores.ended_logins import EndedLogins
from appserver.auth.stores.write_ahead import Journal
from appserver.errors import AuthError, StoreChangedError, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterator

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.atomic_file import PrivateFile
    from appserver.auth.stores.codec import Codec
    from appserver.auth.stores.file_lock import FileLock
    from protocol.base import Secret

REDEEM_PATIENCE = 60.0
"""Seconds to wait for another process that redeems the refresh token: it may wait for the issuer."""


class DocumentStore:
    """Keeps the credential in one file."""

    kind = "file"

    def __init__(self, file: PrivateFile, codec: Codec) -> None:
        self.journal = Journal(file, codec)
        self._ended = EndedLogins(file)
        self._file = file
        self._codec = codec

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read."""
        return str(self._file.path)

    def version(self) -> Hashable:
        """Return modification time, size and inode, or None without a file."""
        return self._file.version()

    def load(self) -> Credential | None:
        """Return the stored credential."""
        return self._credential_in(self._document())

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there. A file that makes no sense is kept aside."""
        self._file.make_directory()
        with self._changing():
            try:
                self._write(document_with(self._document(), credential))
            except UnreadableError as exc:
                self._start_over(credential, exc)

    def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` in place of `old`, or of none. Raises StoreChangedError if something else is there by now."""
        with self._changing():
            document = self._document()
            if self._credential_in(document) != old:
                raise StoreChangedError(f"{self._file.path}: has been changed by another process")
            self._write(document_with(document, new))

    def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Forget the stored credential and return it. What is no regular file holds none, and stays.

        `everywhere`: if its refresh token is being redeemed now, by any process, `has_ended` says so to that one.
        """
        if self._file.version() is None:
            self.journal.remove()
            return None
        found = None
        with self._changing(), suppress(OccupiedError):
            with suppress(StoreError):  # what makes no sense goes as well
                found = self._credential_in(self._document())
            token = found.refresh_token if found and everywhere else None
            if token is not None and self._redemption_lock().busy():
                self._ended.note(token)  # before it is gone: the redemption finds out only then
            if not self._file.remove():
                self._file.write(self._codec.blank)
            self._forgotten()
        return found

    def has_ended(self, refresh_token: Secret) -> bool:
        """Whether `delete` has ended this token's login everywhere since `redeeming` was entered."""
        return refresh_token in self._ended

    def prove_writable(self) -> None:
        """Raise StoreError if a credential could not be stored now: a read-only home, a full disk."""
        from appserver.auth.stores.write_probe import prove_writable  # late: only before a redemption

        prove_writable(self._file)

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[None]:
        """Hold the lock of a redemption. Raises StoreError if another process keeps it too long."""
        async with self._redemption_lock().held_waiting():
            try:
                yield
            finally:
                self._ended.clear()

    def _redemption_lock(self) -> FileLock:
        return self._file.lock("refresh", REDEEM_PATIENCE)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of a change. Once it is made, what was redeemed before is either stored or of an old login.

        Raises StoreBusy where another process holds it: it reads and writes a few kilobytes.
        """
        with self._file.lock("change", 0).held():
            yield
            self.journal.remove()

    def _document(self) -> dict[str, Any]:
        try:
            return self._codec.opened(self._file.read())
        except ValueError as exc:
            raise UnreadableError(f"{self._file.path}: {exc}") from None

    def _credential_in(self, document: dict[str, Any]) -> Credential | None:
        try:
            return credential_in(document)
        except AuthError as exc:
            raise StoreError(f"{self._file.path}: {exc.message}") from None

    def _write(self, document: dict[str, Any]) -> None:
        self._put(self._bytes_of(document))

    def _put(self, data: bytes) -> None:
        self._file.write(data)

    def _forgotten(self) -> None:
        """Clean up after a deletion, still under the lock."""

    def _bytes_of(self, document: dict[str, Any]) -> bytes:
        try:
            return self._codec.sealed(document)
        except ValueError as exc:
            raise UnreadableError(f"{self._file.path}: {exc}") from None

    def _start_over(self, credential: Credential, reason: UnreadableError) -> None:
        data = self._bytes_of(document_with({}, credential))  # first: if this fails, what is there stays there
        aside = self._file.keep_aside()
        warn(f"{reason.message}; what was there is {f'kept as {aside}' if aside else 'lost'}")
        self._put(data)
