"""The connection to threads.db: opening, transactions, and what SQLite's errors mean.

Calls are synchronous and short: what they take is less than what a thread to run them in would. They wait for no lock;
what meets one is made again by the queue (`lock_queue.py`). Knows the schema's version, not the schema.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.lock_queue import LockQueue
from appserver.log import warn
from appserver.threads.stores.base import FULL, READ_ONLY, UNAVAILABLE
from appserver.threads.stores.sqlite.schema import VERSION, migrate, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appserver.threads.turn_record import TurnRecord

FILE_NAME = "threads.db"

BUSY_SECONDS = 15.0
"""What to wait for another process that writes. A write takes well under a millisecond; what takes longer is a copy of
the database, or somebody's transaction in a tool."""

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

CarryOver: TypeAlias = "Callable[[sqlite3.Connection, sqlite3.Connection], None]"
"""Writes what must not be lost from the connection to a file that is gone to the one that takes its place."""


class UnwrittenEnd(NamedTuple):
    """The end of a turn that could not be written in time, and the statements that write it."""

    turn: TurnRecord
    write: Callable[[sqlite3.Connection], None]


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

    def __init__(self, home: str, carry_over: CarryOver, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = os.path.join(home, FILE_NAME)
        self.queue = LockQueue(busy_seconds)
        self.unwritten: dict[int, UnwrittenEnd] = {}
        """Turns, by key, whose end could not be written and must not be lost: the next transaction begins with them."""
        self._carry_over = carry_over
        self._connection: sqlite3.Connection | None = None
        self._file: File = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Run statements that only read, and see the database as it is at the first. Raises ThreadStoreError."""
        try:
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    @contextmanager
    def statement(self) -> Iterator[sqlite3.Connection]:
        """Run one statement that writes, a transaction of its own. Raises ThreadStoreError."""
        self._wait_for_no_other()
        try:
            yield self._open()
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run statements of which all hold or none. Raises ThreadStoreError."""
        self._wait_for_no_other()
        try:
            connection = self._open()
            with transaction(connection):
                self.write_ends(connection)
                yield connection
            self.unwritten.clear()
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    def write_ends(self, connection: sqlite3.Connection) -> None:
        """Write the unwritten ends. The caller forgets them once the transaction is committed."""
        for end in self.unwritten.values():
            end.write(connection)

    def close(self) -> None:
        """Close the connection, after a last try to write the unwritten ends."""
        if self.unwritten:
            try:
                with self.writing():
                    pass
            except ThreadStoreError as exc:
                warn(
                    f"{len(self.unwritten)} turns count as interrupted, their ends could not be written: {exc.message}"
                )
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection, self._file = self._connect()
        elif self._file != _identity(self.path):
            self._begin_anew(self._connection)
        return self._connection

    def _begin_anew(self, old: sqlite3.Connection) -> None:
        """Go on in the file that is at the path now, or in a new one. If that fails, the next use tries again.

        What was deleted can still be read through the connection: what is loaded is carried over.
        """
        new, file = self._connect()
        try:
            self._carry_over(old, new)
        except OSError as exc:
            new.close()
            raise self._no_file(exc) from None
        except BaseException:
            new.close()
            raise
        self.unwritten.clear()
        warn(f"{self.path}: was deleted or replaced while in use; the threads that are loaded go on in a new file")
        old.close()
        self._connection, self._file = new, file

    def _connect(self) -> tuple[sqlite3.Connection, File]:
        try:
            self._make_private()
        except OSError as exc:
            raise self._no_file(exc) from None
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
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

    def _wait_for_no_other(self) -> None:
        if self.queue.reserved:
            raise self._busy()  # it was locked when they came

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
