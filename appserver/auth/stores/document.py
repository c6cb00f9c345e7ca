"""What every store in a file does: read, change and compare under the lock, and keep aside what makes no sense.

Plain functions that may block, for `off_loop.OffLoopStore` to run; where another process holds a lock, they raise
StoreBusy at once and have changed nothing. How a document becomes bytes is the codec's business, how they get to the
disk `atomic_file`'s, and what stands in the document `auth_json`'s.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from appserver.auth.stores.atomic_file import OccupiedError, UnreadableError
from appserver.auth.stores.auth_json import credential_in, document_with
from appserver.auth.stores.base import Contents
from appserver.auth.stores.refused_tokens import RefusedTokens
from appserver.errors import AuthError, StoreChangedError, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.atomic_file import PrivateFile
    from appserver.auth.stores.codec import Codec
    from appserver.auth.stores.ended_logins import EndedLogins
    from appserver.auth.stores.file_lock import FileLock
    from appserver.auth.stores.write_ahead import WriteAhead
    from protocol.base import Secret


class DocumentStore:
    """Keeps the credential in one file."""

    kind = "file"

    def __init__(self, file: PrivateFile, codec: Codec) -> None:
        self._file = file
        self._codec = codec
        self._refused = RefusedTokens(os.path.dirname(file.name))

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read."""
        return str(self._file.path)

    def exists(self) -> bool:
        """Whether there is a file. It may hold no credential."""
        return _version_of(self._file.name) is not None

    def version(self) -> Hashable:
        """Return what changes with the file and with the note on a refused refresh token."""
        return _version_of(self._file.name), _version_of(self._refused.path)

    def has_record(self) -> bool:
        """Whether there may be a write-ahead record."""
        return self.write_ahead().exists()

    def load_in_place(self) -> Contents:
        """Return the contents: reading a small file takes less than starting the thread that could do it."""
        return self.load()

    def load(self) -> Contents:
        """Return the contents."""
        version = _version_of(self._file.name)
        credential = self._credential_in(self._document())
        token = credential.refresh_token if credential else None
        return Contents(credential, self._refused.reason(token, version) if token else None)

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there. A file that makes no sense is kept aside."""
        self._file.make_directory()
        with self._changing():
            try:
                self._write(document_with(self._document(), credential))
            except UnreadableError as exc:
                self._start_over(credential, exc)
            self._refused.clear()

    def swap(self, old: Credential | None, new: Credential) -> None:
        """Store `new` in place of `old`, or of none. Raises StoreChangedError if something else is there by now."""
        with self._changing():
            document = self._document()
            if self._credential_in(document) != old:
                raise StoreChangedError(f"{self._file.path}: has been changed by another process")
            self._write(document_with(document, new))

    def delete(self, *, everywhere: bool = False) -> Credential | None:
        """Remove the stored credential and return it. What is no regular file holds none, and stays."""
        if not self.exists():
            self.write_ahead().remove()
            return None
        found = None
        with self._changing(), suppress(OccupiedError):
            with suppress(StoreError):  # what makes no sense goes as well
                found = self._credential_in(self._document())
            token = found.refresh_token if found and everywhere else None
            if token is not None and self.redemption_lock().busy():
                self.ended_logins().note(token)  # before it is gone: the redemption finds out only then
            if not self._file.remove():
                self._file.write(self._codec.blank)
            self._forgotten()
        return found

    def refuse(self, refresh_token: Secret, reason: str) -> None:
        """Note why the issuer has refused this token for good."""
        self._refused.add(refresh_token, _version_of(self._file.name), reason)

    def record(self) -> dict[str, Any] | None:
        """Return the write-ahead record of a redemption that is not stored yet, or None."""
        return self.write_ahead().read()

    def redemption(self) -> FileRedemption:
        """Return the redemption of what is stored here, which is to be begun."""
        return FileRedemption(self)

    def give_up(self) -> None:
        """Wait for nothing any longer. Only a keyring is waited for."""

    def check_key(self) -> None:
        """Raise StoreError if what is stored could not be encrypted now."""

    # What a redemption needs of the file

    def redemption_lock(self) -> FileLock:
        return self._file.lock("refresh", 0)

    def write_ahead(self) -> WriteAhead:
        from appserver.auth.stores.write_ahead import WriteAhead  # late: the first answers need none of these

        return WriteAhead(self._file, self._codec)

    def ended_logins(self) -> EndedLogins:
        from appserver.auth.stores.ended_logins import EndedLogins

        return EndedLogins(self._file)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of a change. After it, what was redeemed before is either stored or of an old login.

        Raises StoreBusy where another process holds it: it reads and writes a few kilobytes.
        """
        with self._file.lock("change", 0).held():
            yield
            self.write_ahead().remove()

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


class FileRedemption:
    """A redemption of what is stored in a file, from `begin` to `end`."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._held = ExitStack()
        self._write_ahead = store.write_ahead()
        self._ended = store.ended_logins()

    def begin(self) -> None:
        """Take the lock. Raises StoreBusy where another process holds it."""
        self._held.enter_context(self._store.redemption_lock().held())

    def prepare(self) -> None:
        """Make room for a write-ahead record. Raises StoreError if a response could not be kept now."""
        self._store.check_key()
        self._write_ahead.open()

    def write(self, record: dict[str, Any]) -> None:
        """Persist a record."""
        self._write_ahead.write(record)

    def discard(self) -> None:
        """Remove the record, if there is one."""
        self._write_ahead.remove()

    def has_ended(self, refresh_token: Secret) -> bool:
        """Whether a `delete` has ended this token's login everywhere since `begin`."""
        return refresh_token in self._ended

    def end(self) -> None:
        """Give the lock back."""
        with self._held:
            self._write_ahead.close()
            self._ended.clear()


def _version_of(path: str) -> Hashable:
    """Return modification time, size and inode, or None without a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
