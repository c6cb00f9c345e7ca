"""auth.json in the home directory: readable by its owner only, changed in one step, shared with other processes.

Owns how the bytes get there and survive a crash. What stands in the file is `auth_json`'s business.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appserver.auth.auth_json import credential_in, document_with, parse_document
from appserver.errors import AuthError, StoreChangedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from contextlib import AbstractAsyncContextManager

    from appserver.auth.credentials import Credential
    from appserver.auth.file_lock import FileLock

FILE_NAME = "auth.json"
PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

CHANGE_PATIENCE = 2.0
"""Seconds to wait for another process that is changing the file: it reads and writes a few kilobytes."""

REDEEM_PATIENCE = 60.0
"""Seconds to wait for another process that redeems the refresh token: it may wait for the issuer."""

PROBE_BYTES = 16 * 1024
"""What a probe writes: more than a credential takes."""


class FileStore:
    """Keeps the credential in auth.json."""

    def __init__(self, home: str) -> None:
        self._path = Path(home, FILE_NAME)

    def version(self) -> Hashable:
        """Return modification time, size and inode, or None without a file."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def load(self) -> Credential | None:
        """Return the stored credential."""
        return self._credential_in(self._read())

    def save(self, credential: Credential) -> None:
        """Store a credential, whatever is there. A file that makes no sense is kept aside."""
        self._make_home()
        with self._lock("change", CHANGE_PATIENCE).held():
            try:
                document = self._read()
            except StoreError:
                self._keep_aside()
                document = {}
            self._write(document_with(document, credential))

    def swap(self, old: Credential, new: Credential) -> None:
        """Store `new` in place of `old`. Raises StoreChangedError if something else is there by now."""
        with self._lock("change", CHANGE_PATIENCE).held():
            document = self._read()
            if self._credential_in(document) != old:
                raise StoreChangedError(f"{self._path}: has been changed by another process")
            self._write(document_with(document, new))

    def delete(self) -> None:
        """Forget the stored credential."""
        if not self._path.exists():
            return
        with self._lock("change", CHANGE_PATIENCE).held():
            try:
                self._path.unlink(missing_ok=True)
            except OSError as exc:
                raise StoreError(f"{self._path}: cannot be removed: {exc.strerror}") from None

    def prove_writable(self) -> None:
        """Raise StoreError if a credential could not be stored now: a read-only home, a full disk."""
        try:
            temporary = self._new_file(b"\0" * PROBE_BYTES)
        except OSError as exc:
            if not self._can_write_in_place():
                raise StoreError(f"{self._path}: cannot be written: {exc.strerror}") from None
        else:
            _remove(temporary)

    def redeeming(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock of a redemption. Raises StoreError if another process keeps it too long."""
        return self._lock("refresh", REDEEM_PATIENCE).held_waiting()

    def _lock(self, purpose: str, patience: float) -> FileLock:
        from appserver.auth.file_lock import FileLock  # late: reading a credential needs no lock

        return FileLock(self._path, purpose, patience)

    def _read(self) -> dict[str, Any]:
        try:
            return parse_document(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be read: {exc.strerror}") from None
        except ValueError as exc:
            raise StoreError(f"{self._path}: {exc}") from None

    def _credential_in(self, document: dict[str, Any]) -> Credential | None:
        try:
            return credential_in(document)
        except AuthError as exc:
            raise StoreError(f"{self._path}: {exc.message}") from None

    def _write(self, document: dict[str, Any]) -> None:
        """Replace the file in one step, or, where a rename cannot work, in place under the lock."""
        data = json.dumps(document, indent=2).encode()
        try:
            try:
                self._replace(data)
            except OSError:
                # A file that is itself a mount point, or the only writable thing in its directory.
                if not self._can_write_in_place():
                    raise
                self._overwrite(data)
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be written: {exc.strerror}") from None

    def _replace(self, data: bytes) -> None:
        temporary = self._new_file(data)
        try:
            # Through a symbolic link, so that the link stays one.
            os.replace(temporary, os.path.realpath(self._path))
        except OSError:
            _remove(temporary)
            raise
        _sync_directory(temporary.parent)

    def _overwrite(self, data: bytes) -> None:
        """Write over the old bytes before cutting off what is left of them: the file is never empty."""
        with open(self._path, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def _new_file(self, data: bytes) -> Path:
        """Write a private file beside auth.json, see it to the disk, and return its path."""
        directory = os.path.dirname(os.path.realpath(self._path))
        path = Path(directory, f".{FILE_NAME}.{os.getpid()}-{os.urandom(6).hex()}.tmp")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            _remove(path)
            raise
        return path

    def _can_write_in_place(self) -> bool:
        try:
            with open(self._path, "r+b"):
                return True
        except OSError:
            return False

    def _make_home(self) -> None:
        try:
            self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{self._path.parent}: cannot be created: {exc.strerror}") from None

    def _keep_aside(self) -> None:
        with contextlib.suppress(OSError):
            os.replace(self._path, self._path.with_name(f"{FILE_NAME}.corrupt"))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_directory(path: Path) -> None:
    """See a rename to the disk. Windows cannot open a directory, and does not need it."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
