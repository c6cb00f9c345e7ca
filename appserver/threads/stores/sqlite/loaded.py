"""The threads that are loaded from threads.db, and how they go on when the file is deleted or replaced while in use.

They are copied with their whole transcript, because a deleted file can be read for as long as it is open. Where it
cannot be read, what is in memory is written: the metadata, what the model is sent, and the turn that runs.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING
from weakref import WeakSet

from appserver.threads.stores.base import plain
from appserver.threads.stores.sqlite.connection import UNREADABLE, Database, transaction
from appserver.threads.stores.sqlite.copies import HERE, Place, copy_thread, copy_turns
from appserver.threads.stores.sqlite.leases import Owners
from appserver.threads.stores.sqlite.recorder import SqliteRecorder
from appserver.threads.stores.sqlite.writes import insert_entries, insert_thread, insert_turn
from appserver.threads.transcript import Entry
from appserver.threads.turn_record import TurnRecord

if TYPE_CHECKING:
    from appserver.threads.record import ThreadRecord

FRESH = "fresh"
"""The schema of the file that is at the path now."""

Keys = tuple[int, int]
"""Of a thread and of its turn that runs, 0: none does."""


class Loaded:
    """The recorders of the loaded threads, and what they write with."""

    def __init__(self, home: str, busy_seconds: float) -> None:
        self.database = Database(home, self._carry_over, busy_seconds)
        self.owners = Owners(home)
        self._recorders: WeakSet[SqliteRecorder] = WeakSet()

    def attach(self, thread: ThreadRecord, key: int, touched: int) -> None:
        """Write down what happens in a thread from now on."""
        thread.recorder = recorder = SqliteRecorder(self.database, self.owners, thread, key, touched)
        self._recorders.add(recorder)

    def close(self) -> None:
        """Close the file."""
        self.database.close()
        self.owners.close()

    def _carry_over(self, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
        """Write the loaded threads to the file that has taken the place of theirs. Raises sqlite3.Error, OSError."""
        owner = self.owners.mine()  # first: if the directory of lock files is gone as well, our turns look dead
        recorders = list(self._recorders)
        try:
            moves = self._copy(old, recorders)
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode & 0xFF not in UNREADABLE:
                raise
            moves = _write(new, owner, recorders)
        for recorder, keys in zip(recorders, moves, strict=True):
            recorder.moved(*keys)

    def _copy(self, old: sqlite3.Connection, recorders: list[SqliteRecorder]) -> list[Keys]:
        """Copy threads to the file at the path, all or none."""
        old.execute(f"ATTACH DATABASE ? AS {FRESH}", (self.database.path,))
        try:
            with transaction(old):
                self.database.write_ends(old)
                return [_copied(old, recorder) for recorder in recorders]
        finally:
            old.execute(f"DETACH DATABASE {FRESH}")


def _copied(connection: sqlite3.Connection, recorder: SqliteRecorder) -> Keys:
    """Copy a thread, or what the new file does not have of it."""
    key = _key(connection, FRESH, recorder)
    if key is None:
        key = copy_thread(connection, Place(HERE, recorder.key), FRESH)
    copy_turns(connection, Place(HERE, recorder.key), Place(FRESH, key))
    return key, _turn(connection, FRESH, key, recorder.thread.active)


def _write(new: sqlite3.Connection, owner: str, recorders: list[SqliteRecorder]) -> list[Keys]:
    """Write threads from memory, all or none."""
    with transaction(new):
        return [_written(new, owner, recorder) for recorder in recorders]


def _written(connection: sqlite3.Connection, owner: str, recorder: SqliteRecorder) -> Keys:
    thread, active = recorder.thread, recorder.thread.active
    key = _key(connection, HERE, recorder)
    if key is None:
        key, _ = insert_thread(connection, thread, listed=True)
        said = TurnRecord([], status="completed", started_at=thread.metadata.created_at, completed_at=time.time())
        turn = insert_turn(connection, key, said, None)
        remembered = [
            Entry(None, one, forgets=False, completed_at=thread.metadata.updated_at) for one in thread.history
        ]
        insert_entries(connection, key, turn, remembered)
    if active is not None and not _turn(connection, HERE, key, active):
        turn = insert_turn(connection, key, active, owner)
        shown = [Entry(item, None, forgets=False, completed_at=time.time()) for item in active.items]
        insert_entries(connection, key, turn, shown)
    return key, _turn(connection, HERE, key, active)


def _key(connection: sqlite3.Connection, schema: str, recorder: SqliteRecorder) -> int | None:
    find = f"SELECT key FROM {schema}.threads WHERE id = ?"
    row = connection.execute(find, (plain(recorder.thread.id),)).fetchone()
    return None if row is None else int(row[0])


def _turn(connection: sqlite3.Connection, schema: str, thread: int, turn: TurnRecord | None) -> int:
    """Return the key of a turn, 0 if it is not there."""
    if turn is None:
        return 0
    find = f"SELECT coalesce(max(key), 0) FROM {schema}.turns WHERE thread = ? AND id = ?"
    return int(connection.execute(find, (thread, plain(turn.id))).fetchone()[0])
