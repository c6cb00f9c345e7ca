"""What a recorder writes of a loaded thread: statements within a transaction that the caller has begun.

Runs in the worker: takes values and returns values, and may be run again if the transaction is rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import ThreadNotFound, ThreadStoreError
from appserver.threads.stores.base import UNAVAILABLE, StoredThread, turn_is_active
from appserver.threads.stores.recorder import News
from appserver.threads.stores.rows import (
    THREAD_COLUMNS,
    Row,
    changing_columns,
    entry_row,
    metadata_in,
    remembered_in,
    settings_in,
    usage_in,
)
from appserver.threads.stores.sqlite.writes import (
    delete_turns_after,
    insert_entries,
    insert_turn,
    interrupt_dead_turns,
    last_turn,
    touch,
    update_thread,
    write_settings,
)
from appserver.threads.transcript import Cut, Entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from appserver.threads.settings import ThreadSettings
    from appserver.threads.stores.sqlite.leases import Owners

_INSERT_ITEM = (
    "INSERT INTO items (thread, turn, item, remembered, forgets, completed_at)"
    " SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM threads WHERE key = ?)"
)
_END_TURN = (
    "UPDATE turns SET id = ?, status = ?, error = ?, started_at = ?, completed_at = ?, duration_ms = ?, owner = NULL"
    " WHERE key = ?"
)
_STORED = (
    f"SELECT touched, usage, settings, {THREAD_COLUMNS} FROM threads"
    " JOIN thread_settings ON thread_settings.thread = key WHERE key = ?"
)
# Only what the model was told since it last forgot: a thread that was compacted loads no more than that.
_HISTORY = (
    "SELECT item, remembered FROM items WHERE thread = :thread AND remembered IS NOT NULL AND key >="
    " coalesce((SELECT max(key) FROM items WHERE thread = :thread AND forgets), 0) ORDER BY turn, key"
)


class RecordedThread(NamedTuple):
    """A loaded thread, as its recorder has last seen its rows."""

    id: str
    key: int
    turn: int
    """The key of its last turn here, 0: it has had none."""
    touched: int
    """The number of its last touch. If it is another one in the database, another process has changed the thread."""


class Started(NamedTuple):
    """What became of the start of a turn."""

    turn: int
    """The key of the turn."""
    touched: int
    news: News | None


def start_turn(
    connection: sqlite3.Connection,
    thread: RecordedThread,
    turn: Row,
    entries: Sequence[Entry],
    changed: StoredThread | None,
    owners: Owners,
) -> Started:
    """Write a new turn, given as TURN_COLUMNS, with its first entries, and the thread if it has changed.

    Raises RequestError, ThreadStoreError.
    """
    owner = _own_name(owners)
    news = _news(connection, thread, owners)
    touched = touch(connection, thread.key, {"listed": 1})
    if changed is not None:
        _write_changed(connection, thread.key, changed if news is None else news.put_into(changed))
    key = insert_turn(connection, thread.key, turn, owner)
    insert_entries(connection, thread.key, key, entries)
    return Started(key, touched, news)


def add_item(
    connection: sqlite3.Connection, thread: RecordedThread, entry: Entry, changed: StoredThread | None
) -> None:
    """Write a finished item of the turn, and the thread if it has changed. Raises RequestError."""
    inserted = connection.execute(_INSERT_ITEM, (thread.key, thread.turn, *entry_row(entry), thread.key))
    if not inserted.rowcount:
        raise ThreadNotFound(thread.id)  # it has been deleted meanwhile
    if changed is not None:
        _write_changed(connection, thread.key, changed)


def end_turn(
    connection: sqlite3.Connection,
    thread: RecordedThread,
    ended: Row,
    columns: Mapping[str, object],
    settings: ThreadSettings | None,
) -> int:
    """Write how the turn ended (TURN_COLUMNS), and the thread. Return the number of the touch, 0 if it is gone."""
    if not _exists(connection, thread.key):
        return 0
    connection.execute(_END_TURN, (*ended, thread.turn))
    touched = touch(connection, thread.key, columns)
    if settings is not None:
        write_settings(connection, thread.key, settings)
    return touched


def change_settings(connection: sqlite3.Connection, thread: RecordedThread, changed: StoredThread) -> None:
    """Write the settings of a thread. Raises RequestError."""
    if not _exists(connection, thread.key):
        raise ThreadNotFound(thread.id)
    _write_changed(connection, thread.key, changed)


def inject(
    connection: sqlite3.Connection, thread: RecordedThread, entries: Sequence[Entry], owners: Owners
) -> tuple[int, News | None]:
    """Write entries behind the last turn. Return the number of the touch. Raises RequestError."""
    news = _news(connection, thread, owners)
    last = connection.execute("SELECT coalesce(max(key), 0) FROM turns WHERE thread = ?", (thread.key,))
    insert_entries(connection, thread.key, last.fetchone()[0], entries)
    return touch(connection, thread.key), news


def revert(connection: sqlite3.Connection, thread: RecordedThread, before: str, owners: Owners) -> tuple[int, News]:
    """Delete a turn and all that came after it. Return the number of the touch. Raises RequestError."""
    _check_unused(connection, thread, owners)
    delete_turns_after(connection, thread.key, last_turn(connection, thread.key, Cut(before=before)))
    return touch(connection, thread.key), _stored_news(connection, thread)


def load_history(connection: sqlite3.Connection, thread: int) -> list[dict[str, Any]]:
    """Return the input items that the next request begins with."""
    found = (remembered_in(*row) for row in connection.execute(_HISTORY, {"thread": thread}))
    return [one for one in found if one is not None]


def _write_changed(connection: sqlite3.Connection, key: int, changed: StoredThread) -> None:
    update_thread(connection, key, changing_columns(changed.metadata, changed.usage))
    write_settings(connection, key, changed.settings)


def _exists(connection: sqlite3.Connection, key: int) -> bool:
    """Whether a loaded thread is still there: it may have been deleted meanwhile."""
    return connection.execute("SELECT 1 FROM threads WHERE key = ?", (key,)).fetchone() is not None


def _news(connection: sqlite3.Connection, thread: RecordedThread, owners: Owners) -> News | None:
    """Return what other processes have done, if anything. Raises RequestError if one of them runs a turn."""
    touched = _check_unused(connection, thread, owners)
    return None if touched == thread.touched else _stored_news(connection, thread)


def _check_unused(connection: sqlite3.Connection, thread: RecordedThread, owners: Owners) -> int:
    """Return the number of the last touch of a thread in which no turn runs. Raises RequestError."""
    row = connection.execute("SELECT touched FROM threads WHERE key = ?", (thread.key,)).fetchone()
    if row is None:
        raise ThreadNotFound(thread.id)
    running = interrupt_dead_turns(connection, owners, thread.key)
    if running is not None:
        raise turn_is_active(running)
    return int(row[0])


def _stored_news(connection: sqlite3.Connection, thread: RecordedThread) -> News:
    _, usage, settings, *metadata = connection.execute(_STORED, (thread.key,)).fetchone()
    return News(
        metadata_in(tuple(metadata)).unknown,
        settings_in(settings).unknown,
        load_history(connection, thread.key),
        usage_in(usage),
    )


def _own_name(owners: Owners) -> str:
    try:
        return owners.mine()
    except OSError as exc:
        message = f"{exc.filename}: no lock file can be made: {exc.strerror}"
        raise ThreadStoreError(message, UNAVAILABLE) from None
