"""The schema of threads.db, and the steps to it from every earlier one.

The version is the number of steps taken (PRAGMA user_version). A step that has been released is never changed; a new
one is added at the end. Knows SQL, and nothing of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Metadata: columns, and in `facts` (later `metadata`) what a list neither sorts nor filters by. Columns whose
        # names end in _folded hold what searches compare. `listed`: has a turn or a name.
        """
        CREATE TABLE threads (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            touched INTEGER NOT NULL,
            archived INTEGER NOT NULL DEFAULT 0,
            listed INTEGER NOT NULL,
            cwd TEXT NOT NULL,
            provider TEXT NOT NULL,
            name_folded TEXT NOT NULL,
            preview_folded TEXT NOT NULL,
            name TEXT NOT NULL,
            git_info TEXT NOT NULL,
            facts TEXT NOT NULL,
            usage TEXT NOT NULL
        )
        """,
        # What a list never needs, and may be long: the instructions. Apart, so that a row of threads stays short.
        """
        CREATE TABLE thread_settings (
            thread INTEGER PRIMARY KEY REFERENCES threads ON DELETE CASCADE,
            in_force TEXT NOT NULL
        )
        """,
        "CREATE INDEX threads_by_creation ON threads (archived, created_at, id) WHERE listed",
        "CREATE INDEX threads_by_touch ON threads (archived, touched) WHERE listed",
        # The latest touches, one row each (see stores/base.py): all of them up to a number, and before that the last
        # one of each thread. The last of all outlives its thread, so that no number is used twice.
        "CREATE TABLE touches (number INTEGER PRIMARY KEY, thread INTEGER NOT NULL)",
        "CREATE INDEX touches_of_thread ON touches (thread)",
        # `owner` (see leases.py) is there while the turn runs.
        """
        CREATE TABLE turns (
            key INTEGER PRIMARY KEY,
            thread INTEGER NOT NULL REFERENCES threads ON DELETE CASCADE,
            id TEXT NOT NULL,
            owner TEXT,
            status TEXT NOT NULL,
            error TEXT NOT NULL,
            started_at REAL,
            completed_at REAL,
            duration_ms INTEGER
        )
        """,
        "CREATE INDEX turns_of_thread ON turns (thread)",
        "CREATE INDEX turns_running ON turns (thread) WHERE owner IS NOT NULL",
        # The transcript. `turn`: 0 for what stands before the first one.
        # `item`: as clients see it; `remembered`: as the model is sent it.
        """
        CREATE TABLE items (
            key INTEGER PRIMARY KEY,
            thread INTEGER NOT NULL REFERENCES threads ON DELETE CASCADE,
            turn INTEGER NOT NULL,
            completed_at REAL NOT NULL,
            forgets INTEGER NOT NULL,
            item TEXT,
            remembered TEXT
        )
        """,
        "CREATE INDEX items_of_thread ON items (thread, turn)",
        "CREATE INDEX items_forgetting ON items (thread) WHERE forgets",
    ),
    (
        "ALTER TABLE threads RENAME COLUMN facts TO metadata",
        "ALTER TABLE thread_settings RENAME COLUMN in_force TO settings",
    ),
)

VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a database; 0: it is empty."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring a database to the last version, all steps or none. Does nothing to one that is there, or beyond."""
    if version_of(connection) >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version_of(connection) :]:  # asked again: another process may have been quicker
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(len(steps), version_of(connection))}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
