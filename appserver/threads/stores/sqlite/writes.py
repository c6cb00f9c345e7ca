"""The statements that change rows of threads.db, within a transaction that the caller has begun.

Knows the schema and the owners of running turns, not why something is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appserver.threads.paging import MAX_INTEGER, PRUNING_STEP, horizon
from appserver.threads.stores.base import plain
from appserver.threads.stores.rows import ENTRY_COLUMNS, entry_row, settings_text, thread_row

NO_THREAD = 0
"""In place of the key of a thread that is gone. No thread has this key."""

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from appserver.threads.settings import ThreadSettings
    from appserver.threads.stores.base import StoredThread
    from appserver.threads.stores.rows import Row
    from appserver.threads.stores.sqlite.leases import Owners
    from appserver.threads.transcript import Cut, Entry


def insert_thread(connection: sqlite3.Connection, thread: StoredThread, *, listed: bool) -> tuple[int, int]:
    """Write a new thread without its turns, and return its key and the number of its first touch."""
    number = _new_touch(connection, NO_THREAD)
    row = thread_row(thread.metadata, thread.usage, number, listed=listed)
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    inserted = connection.execute(f"INSERT INTO threads ({columns}) VALUES ({marks})", tuple(row.values()))
    key = inserted.lastrowid or 0
    connection.execute("UPDATE touches SET thread = ? WHERE number = ?", (key, number))
    write_settings(connection, key, thread.settings)
    return key, number


def write_settings(connection: sqlite3.Connection, thread: int, settings: ThreadSettings) -> None:
    """Write the settings of a thread, beside its row."""
    connection.execute(
        "INSERT OR REPLACE INTO thread_settings (thread, settings) VALUES (?, ?)", (thread, settings_text(settings))
    )


def touch(connection: sqlite3.Connection, thread: int, columns: Mapping[str, object] | None = None) -> int:
    """Note that something happened to a thread, and set columns of its row. Return the number of this touch."""
    number = _new_touch(connection, thread)
    update_thread(connection, thread, {"touched": number, "updated_at": time.time(), **(columns or {})})
    return number


def _new_touch(connection: sqlite3.Connection, thread: int) -> int:
    """Write a touch and return its number. Now and then, forget those that no page needs any more.

    Each time these are the earlier ones of the threads that the next PRUNING_STEP touches behind the horizon are of.
    """
    number = connection.execute("INSERT INTO touches (thread) VALUES (?)", (thread,)).lastrowid or 0
    if number % PRUNING_STEP == 0:
        end = horizon(number)
        connection.execute(
            "DELETE FROM touches WHERE number IN (SELECT earlier.number FROM touches AS later"
            " JOIN touches AS earlier ON earlier.thread = later.thread AND earlier.number < later.number"
            " WHERE later.number > ? AND later.number <= ?)",
            (end - PRUNING_STEP, end),
        )
    return number


def delete_thread(connection: sqlite3.Connection, thread: int) -> None:
    """Delete a thread with all that belongs to it. Its last touch stays, if it is the last of all: for its number."""
    connection.execute("DELETE FROM threads WHERE key = ?", (thread,))
    connection.execute(
        "DELETE FROM touches WHERE thread IN (?, ?) AND number < (SELECT max(number) FROM touches)", (thread, NO_THREAD)
    )
    connection.execute("UPDATE touches SET thread = ? WHERE thread = ?", (NO_THREAD, thread))


def update_thread(connection: sqlite3.Connection, thread: int, columns: Mapping[str, object]) -> None:
    """Set columns of a thread's row."""
    sets = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE threads SET {sets} WHERE key = ?", (*columns.values(), thread))


def insert_turn(connection: sqlite3.Connection, thread: int, turn: Row, owner: str | None) -> int:
    """Write a turn, given as TURN_COLUMNS, and return its key."""
    turn_id, status, error, started_at, *rest = turn
    inserted = connection.execute(
        "INSERT INTO turns (thread, owner, id, status, error, started_at, completed_at, duration_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (thread, owner, turn_id, status, error, started_at or time.time(), *rest),
    )
    return inserted.lastrowid or 0


def interrupt_dead_turns(connection: sqlite3.Connection, owners: Owners, thread: int) -> str | None:
    """Mark turns whose process has died as interrupted. Return the id of the one that does run, if any."""
    running: str | None = None
    found = connection.execute("SELECT key, id, owner FROM turns WHERE thread = ? AND owner IS NOT NULL", (thread,))
    for key, turn_id, owner in found.fetchall():
        if owners.alive(owner):
            running = turn_id
        else:
            # Its last item is the last that a client was told of it.
            connection.execute(
                "UPDATE turns SET status = 'interrupted', owner = NULL, completed_at = coalesce("
                " (SELECT max(completed_at) FROM items WHERE items.thread = turns.thread AND turn = turns.key),"
                " started_at) WHERE key = ?",
                (key,),
            )
    return running


def interrupt_copied_turns(connection: sqlite3.Connection, thread: int) -> None:
    """End the turns of a thread that are copies of running ones: they go on in the original."""
    connection.execute(
        "UPDATE turns SET status = 'interrupted', owner = NULL, completed_at = ?"
        " WHERE thread = ? AND owner IS NOT NULL",
        (time.time(), thread),
    )


def last_turn(connection: sqlite3.Connection, thread: int, cut: Cut) -> int:
    """Return the greatest key that a turn up to a cut may have. Raises RequestError."""
    if cut.turn is None:
        return MAX_INTEGER
    named = "SELECT key, status FROM turns WHERE thread = ? AND id = ? ORDER BY key LIMIT 1"
    key, status = connection.execute(named, (thread, plain(cut.turn))).fetchone() or (0, None)
    cut.check(status)
    return int(key) - 1 if cut.before else int(key)


def delete_turns_after(connection: sqlite3.Connection, thread: int, last: int) -> None:
    """Delete the turns of a thread whose keys are greater, and their items."""
    connection.execute("DELETE FROM items WHERE thread = ? AND turn > ?", (thread, last))
    connection.execute("DELETE FROM turns WHERE thread = ? AND key > ?", (thread, last))


def insert_entries(connection: sqlite3.Connection, thread: int, turn: int, entries: Iterable[Entry]) -> None:
    """Write what the finished items of a turn left."""
    connection.executemany(
        f"INSERT INTO items (thread, turn, {ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        [(thread, turn, *entry_row(entry)) for entry in entries],
    )
