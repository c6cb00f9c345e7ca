"""The statements that change rows of threads.db, within a transaction that the caller has begun.

Knows the schema and the owners of running turns, not why something is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appserver.turns.pages import MAX_INTEGER
from appserver.turns.rows import ENTRY_COLUMNS, dumps, entry_row, thread_row, turn_row
from appserver.turns.store import plain

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from appserver.turns.owners import Owners
    from appserver.turns.past import Cut, Entry
    from appserver.turns.state import ThreadRecord, TurnRecord


def insert_thread(connection: sqlite3.Connection, thread: ThreadRecord, *, listed: bool) -> tuple[int, int]:
    """Write a new thread without its turns, and return its key and the number of its first touch."""
    (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM touches").fetchone()
    row = thread_row(thread, number, listed=listed)
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    inserted = connection.execute(f"INSERT INTO threads ({columns}) VALUES ({marks})", tuple(row.values()))
    key = inserted.lastrowid or 0
    connection.execute("INSERT INTO touches (number, thread) VALUES (?, ?)", (number, key))
    write_settings(connection, key, thread.in_force())
    return key, number


def write_settings(connection: sqlite3.Connection, thread: int, in_force: Mapping[str, object]) -> None:
    """Write what is in force for a thread, beside its row."""
    connection.execute(
        "INSERT OR REPLACE INTO thread_settings (thread, in_force) VALUES (?, ?)", (thread, dumps(in_force))
    )


def touch(connection: sqlite3.Connection, thread: int, columns: Mapping[str, object] | None = None) -> int:
    """Note that something happened to a thread, and set columns of its row. Return the number of this touch."""
    number = connection.execute("INSERT INTO touches (thread) VALUES (?)", (thread,)).lastrowid or 0
    update_thread(connection, thread, {"touched": number, "updated_at": time.time(), **(columns or {})})
    return number


def update_thread(connection: sqlite3.Connection, thread: int, columns: Mapping[str, object]) -> None:
    """Set columns of a thread's row."""
    sets = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE threads SET {sets} WHERE key = ?", (*columns.values(), thread))


def insert_turn(connection: sqlite3.Connection, thread: int, turn: TurnRecord, owner: str | None) -> int:
    """Write a turn, and return its key."""
    turn_id, status, error, started_at, *rest = turn_row(turn)
    inserted = connection.execute(
        "INSERT INTO turns (thread, owner, id, status, error, started_at, completed_at, duration_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (thread, owner, turn_id, status, error, started_at or time.time(), *rest),
    )
    return inserted.lastrowid or 0


def settle(connection: sqlite3.Connection, owners: Owners, thread: int) -> str | None:
    """Mark turns whose process has died as interrupted. Return the id of the one that does run, if any."""
    running: str | None = None
    found = connection.execute("SELECT key, id, owner FROM turns WHERE thread = ? AND owner IS NOT NULL", (thread,))
    for key, turn_id, owner in found.fetchall():
        if owners.alive(owner):
            running = turn_id
        else:
            # When it was cut off is not known: no later than its last item, as far as anybody was told.
            connection.execute(
                "UPDATE turns SET status = 'interrupted', owner = NULL, completed_at = coalesce("
                " (SELECT max(completed_at) FROM items WHERE items.thread = turns.thread AND turn = turns.key),"
                " started_at) WHERE key = ?",
                (key,),
            )
    return running


def interrupt_turns(connection: sqlite3.Connection, thread: int) -> None:
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


def insert_entries(connection: sqlite3.Connection, thread: int, turn: int, entries: Iterable[Entry]) -> None:
    """Write what the finished items of a turn left."""
    connection.executemany(
        f"INSERT INTO items (thread, turn, {ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        [(thread, turn, *entry_row(entry)) for entry in entries],
    )
