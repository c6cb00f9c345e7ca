"""Loaded threads go on when threads.db is deleted or replaced while it is in use.

They are copied with their whole transcript, because a deleted file can be read for as long as it is open. Where it
cannot be read, what is in memory is written: the metadata, what the model is sent, and the turn that runs. Runs in the
worker: takes values and returns values.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.threads.stores.base import plain
from appserver.threads.stores.rows import turn_row
from appserver.threads.stores.sqlite.connection import UNREADABLE, transaction
from appserver.threads.stores.sqlite.copies import HERE, Place, copy_thread, copy_turns
from appserver.threads.stores.sqlite.writes import insert_entries, insert_thread, insert_turn
from appserver.threads.transcript import Entry
from appserver.threads.turn_record import TurnRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.threads.stores.base import StoredThread

NEW = "new"
"""The schema of the file that is at the path now, where the old connection copies to it."""


class LoadedThread(NamedTuple):
    """A loaded thread, as it is in memory."""

    key: int
    """Of its row in the old file."""
    stored: StoredThread
    history: list[dict[str, Any]]
    active: TurnRecord | None

    @property
    def id(self) -> str:
        """The id of the thread."""
        return self.stored.metadata.id


class Keys(NamedTuple):
    """The keys of a thread and of its turn that runs, 0: none does."""

    thread: int
    turn: int


def carry_over(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    path: str,
    owner: str,
    threads: Sequence[LoadedThread],
    ends: Sequence[Callable[[sqlite3.Connection], object]],
) -> list[Keys]:
    """Write loaded threads to the file at the path, and return their keys there. Raises sqlite3.Error.

    `ends`: the statements that write the ends of turns to the old file.
    """
    try:
        return _copy(old, path, threads, ends)
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorcode & 0xFF not in UNREADABLE:
            raise
        return _write(new, owner, threads)


def _copy(
    old: sqlite3.Connection,
    path: str,
    threads: Sequence[LoadedThread],
    ends: Sequence[Callable[[sqlite3.Connection], object]],
) -> list[Keys]:
    """Copy threads to the file at the path, all or none."""
    old.execute(f"ATTACH DATABASE ? AS {NEW}", (path,))
    try:
        with transaction(old):
            for end in ends:
                end(old)
            return [_copied(old, thread) for thread in threads]
    finally:
        old.execute(f"DETACH DATABASE {NEW}")


def _copied(connection: sqlite3.Connection, thread: LoadedThread) -> Keys:
    """Copy a thread, or what the new file does not have of it."""
    key = _key(connection, NEW, thread)
    if key is None:
        key = copy_thread(connection, Place(HERE, thread.key), NEW)
    copy_turns(connection, Place(HERE, thread.key), Place(NEW, key))
    return Keys(key, _turn(connection, NEW, key, thread.active))


def _write(new: sqlite3.Connection, owner: str, threads: Sequence[LoadedThread]) -> list[Keys]:
    """Write threads from memory, all or none."""
    with transaction(new):
        return [_written(new, owner, thread) for thread in threads]


def _written(connection: sqlite3.Connection, owner: str, thread: LoadedThread) -> Keys:
    metadata, active = thread.stored.metadata, thread.active
    key = _key(connection, HERE, thread)
    if key is None:
        key, _ = insert_thread(connection, thread.stored, listed=True)
        said = TurnRecord([], status="completed", started_at=metadata.created_at, completed_at=time.time())
        turn = insert_turn(connection, key, turn_row(said), None)
        remembered = [Entry(None, one, forgets=False, completed_at=metadata.updated_at) for one in thread.history]
        insert_entries(connection, key, turn, remembered)
    if active is not None and not _turn(connection, HERE, key, active):
        turn = insert_turn(connection, key, turn_row(active), owner)
        shown = [Entry(item, None, forgets=False, completed_at=time.time()) for item in active.items]
        insert_entries(connection, key, turn, shown)
    return Keys(key, _turn(connection, HERE, key, active))


def _key(connection: sqlite3.Connection, schema: str, thread: LoadedThread) -> int | None:
    row = connection.execute(f"SELECT key FROM {schema}.threads WHERE id = ?", (plain(thread.id),)).fetchone()
    return None if row is None else int(row[0])


def _turn(connection: sqlite3.Connection, schema: str, thread: int, turn: TurnRecord | None) -> int:
    """Return the key of a turn, 0 if it is not there."""
    if turn is None:
        return 0
    find = f"SELECT coalesce(max(key), 0) FROM {schema}.turns WHERE thread = ? AND id = ?"
    return int(connection.execute(find, (thread, plain(turn.id))).fetchone()[0])
