"""The connection to threads.db: opening, transactions, and what SQLite's errors mean.

Calls are synchronous and short: what they take is less than what a thread to run them in would. Knows the schema's
version, not the schema.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import ThreadStoreError
from appserver.turns.migrations import VERSION, migrate, version_of
from appserver.turns.store import READ_ONLY, UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appserver.turns.state import TurnRecord

FILE_NAME = "threads.db"

PRIVATE_FILE = 0o600
"""Transcripts are private. SQLite gives the -wal and -shm files the mode of the database."""

BUSY_SECONDS = 2.0
"""What to wait for another process that writes: the event loop stands still meanwhile, and a write takes well under a
millisecond; a checkpoint on a slow disk takes longer."""

CHECKPOINT_PAGES = 4000
"""Pages in the log (16 MiB) after which it is moved into the database: seldom, because that waits for the disk."""

LOG_BYTES = 1024 * 1024
"""What is kept of the log once all of it is in the database: a large message leaves no large file behind."""

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)

_RETRY_SECONDS = 0.005


class EndOfTurn(NamedTuple):
    """The end of a turn, and the statements that write it."""

    turn: TurnRecord
    write: Callable[[sqlite3.Connection], None]


class Database:
    """One connection, opened when first used. After a failure to open, the next use tries again."""

    def __init__(self, home: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = os.path.join(home, FILE_NAME)
        self.owed: dict[int, EndOfTurn] = {}
        """Turns, by key, whose end could not be written and must not be lost: the next transaction begins with them."""
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None

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
        """Run one statement, which is a transaction of its own. Raises ThreadStoreError."""
        try:
            yield self._open()
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run statements of which all hold or none. Raises ThreadStoreError."""
        try:
            connection = self._open()
            connection.execute(
                "BEGIN IMMEDIATE"
            )  # not deferred: a lock that has to be raised later cannot be waited for
            try:
                for end in self.owed.values():
                    end.write(connection)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self.owed.clear()
        except sqlite3.Error as exc:
            raise self._error(exc) from None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._make_private()
            except OSError as exc:
                message = f"{self.path}: cannot be opened: {exc.strerror}"
                raise ThreadStoreError(message, READ_ONLY if exc.errno in _FORBIDDEN else UNAVAILABLE) from None
            connection = sqlite3.connect(self.path, timeout=self._busy_seconds, isolation_level=None)
            try:
                self._set_up(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _make_private(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            if sys.platform != "win32" and os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, PRIVATE_FILE)
        finally:
            os.close(descriptor)

    def _set_up(self, connection: sqlite3.Connection) -> None:
        if version_of(connection) > VERSION:
            message = f"{self.path}: was written by a newer version of this program"
            raise ThreadStoreError(message, "threadStoreTooNew")
        self._use_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        migrate(connection)

    def _use_log(self, connection: sqlite3.Connection) -> None:
        """Switch to write-ahead logging. SQLite does not wait for others with this one, so it is tried again."""
        give_up = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _error(self, exc: sqlite3.Error) -> ThreadStoreError:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the lowest byte: the rest are details
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            message = f"{self.path}: another process kept it locked for {self._busy_seconds:g} s; try again"
            return ThreadStoreError(message, "threadStoreBusy", retryable=True)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            message = f"{self.path}: is damaged; move it away to begin anew ({exc})"
            return ThreadStoreError(message, "threadStoreCorrupt")
        # The file itself could be opened: what cannot be is the log beside it.
        forbidden = code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        return ThreadStoreError(f"{self.path}: {exc}", READ_ONLY if forbidden else UNAVAILABLE)
