"""The connection to threads.db: opening, transactions, and what SQLite's errors mean.

Used by one thread at a time, the worker's, and waits for no lock: where another process holds one, ThreadStoreBusy is
raised, and nothing has changed. Knows the schema's version, not the schema.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.log import warn
from appserver.threads.stores.base import FULL, READ_ONLY, UNAVAILABLE
from appserver.threads.stores.sqlite.schema import VERSION, migrate, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

FILE_NAME = "threads.db"

PRIVATE_FILE = 0o600
"""Transcripts are private. SQLite gives the -wal and -shm files the mode of the database."""

CHECKPOINT_PAGES = 4000
"""Pages in the log (16 MiB) after which it is moved into the database: seldom, because that waits for the disk."""

LOG_BYTES = 1024 * 1024
"""What is kept of the log once all of it is in the database: a large message leaves no large file behind."""

UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
"""Of what a file holds there is no more to be had."""

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


File: TypeAlias = tuple[int, int] | None
"""The device and the inode of a file; None: there is none."""


class FileReplaced(Exception):
    """The path leads to another file than the open one, or to none; or a write has keys of an earlier file."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run statements that write, of which all hold or none."""
    connection.execute("BEGIN IMMEDIATE")  # not deferred: a lock that has to be raised later cannot be waited for
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Database:
    """One connection, opened when first used. After a failure to open, the next use tries again."""

    def __init__(self, home: str) -> None:
        self.path = os.path.join(home, FILE_NAME)
        self.generation = 0
        """How often the file has been replaced while it was in use. Keys of rows are good for one generation."""
        self._connection: sqlite3.Connection | None = None
        self._file: File = None

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements that only read, and see the database as it is at the first. Raises ThreadStoreError."""
        with self._translated():
            connection = self._open()
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("COMMIT")

    def write(self, statements: Callable[[sqlite3.Connection], T]) -> T:
        """Run statements of which all hold or none. Raises ThreadStoreError."""
        with self._translated():
            connection = self._open()
            with transaction(connection):
                return statements(connection)

    def go_on(self, carry_over: Callable[[sqlite3.Connection, sqlite3.Connection], T]) -> T:
        """Open the file that is at the path now, or a new one. Raises ThreadStoreError; then the next use tries again.

        `carry_over` gets the old connection, which can still read a file that was deleted, and the new one. Returns
        what it returns.
        """
        with self._translated():
            old, (new, file) = self._connection, self._connect()
            if old is None:
                raise RuntimeError("there is no file to go on from")
            try:
                carried = carry_over(old, new)
            except OSError as exc:
                new.close()
                raise self._no_file(exc) from None
            except BaseException:
                new.close()
                raise
        warn(f"{self.path}: was deleted or replaced while in use; the threads that are loaded go on in a new file")
        old.close()
        self._connection, self._file = new, file
        self.generation += 1
        return carried

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection, self._file = self._connect()
        elif self._file != _identity(self.path):
            raise FileReplaced
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    def _connect(self) -> tuple[sqlite3.Connection, File]:
        try:
            self._make_private()
        except OSError as exc:
            raise self._no_file(exc) from None
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection, _identity(self.path)

    def _no_file(self, exc: OSError) -> ThreadStoreError:
        message = f"{self.path}: cannot be opened: {exc.strerror}"
        return ThreadStoreError(message, READ_ONLY if exc.errno in _FORBIDDEN else UNAVAILABLE)

    def _make_private(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        left = [(path, _identity(path)) for path in (f"{self.path}-wal", f"{self.path}-shm")]
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        except FileExistsError:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        else:
            _delete_left(left)
        try:
            if sys.platform != "win32" and os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, PRIVATE_FILE)
        finally:
            os.close(descriptor)

    def _set_up(self, connection: sqlite3.Connection) -> None:
        version = version_of(connection)
        if version > VERSION:
            message = f"{self.path}: was written by a newer version (schema {version}; this one knows {VERSION})"
            raise ThreadStoreError(message, "threadStoreTooNew")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        migrate(connection)

    def _busy(self) -> ThreadStoreBusy:
        return ThreadStoreBusy(f"{self.path}: another process keeps it locked; try again")

    def _error(self, exc: sqlite3.Error) -> ThreadStoreError:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the lowest byte: the rest are details
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self._busy()
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            message = f"{self.path}: is damaged; move it away to begin anew ({exc})"
            return ThreadStoreError(message, "threadStoreCorrupt")
        if code == sqlite3.SQLITE_FULL:
            return ThreadStoreError(f"{self.path}: {exc}", FULL)
        # The file itself could be opened: what cannot be is the log beside it.
        forbidden = code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        return ThreadStoreError(f"{self.path}: {exc}", READ_ONLY if forbidden else UNAVAILABLE)


def _identity(path: str) -> File:
    try:
        found = os.stat(path)
    except OSError:  # also where the directory is gone, or cannot be entered any more
        return None
    return found.st_dev, found.st_ino


def _delete_left(files: list[tuple[str, File]]) -> None:
    """Delete the log and the index of a database that was deleted without them.

    Both connections would share the index: what the old one can still read would be lost. What has another identity now
    is another process's, which has been quicker.
    """
    for path, was in files:
        if was is not None and was == _identity(path):
            with suppress(FileNotFoundError):
                os.unlink(path)
