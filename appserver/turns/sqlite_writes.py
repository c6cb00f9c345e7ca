"""The statements that change rows of threads.db, within a transaction that the caller has begun.

Knows the schema and the owners of running turns, not why something is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appserver.turns.rows import dumps, turn_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from appserver.turns.owners import Owners
    from appserver.turns.state import TurnRecord


def insert_thread(connection: sqlite3.Connection, row: Mapping[str, object]) -> int:
    """Write the row of a thread, and return its key."""
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    inserted = connection.execute(f"INSERT INTO threads ({columns}) VALUES ({marks})", tuple(row.values()))
    return inserted.lastrowid or 0


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
