"""Copies of threads, made inside SQLite: the rows of a long one are neither decoded nor encoded.

All columns of a row are copied that both tables have, also those that only a newer version knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.threads.paging import MAX_INTEGER

if TYPE_CHECKING:
    import sqlite3

HERE = "main"
"""The schema of the database that a connection was opened on."""


class Place(NamedTuple):
    """A thread's key, and the schema that it is in."""

    schema: str
    thread: int


def copy_turns(connection: sqlite3.Connection, source: Place, target: Place, last: int = MAX_INTEGER) -> None:
    """Copy turns of a thread up to the one with this key, and their items, behind those of another thread.

    What the other one has already, by the id of the turn, is not copied again.
    """
    turns = _columns(connection, "turns", source, target)
    items = _columns(connection, "items", source, target) - {"turn"}
    there = f"SELECT id FROM {target.schema}.turns WHERE thread = :target"
    copied = (
        f"SELECT *, :turns + row_number() OVER (ORDER BY key) AS copy FROM {source.schema}.turns"
        f" WHERE thread = :source AND key <= :last AND id NOT IN ({there})"
    )
    # Numbered apart from the rows that they belong to, so that what is sorted is small.
    numbered = (
        "SELECT items.key AS original, copied.copy AS in_turn,"
        " :items + row_number() OVER (ORDER BY copied.copy, items.key) AS copy"
        f" FROM ({copied}) AS copied"
        f" JOIN {source.schema}.items AS items ON items.thread = :source AND items.turn = copied.key"
    )
    values = {
        "source": source.thread,
        "target": target.thread,
        "last": last,
        "turns": _last_key(connection, target.schema, "turns"),
        "items": _last_key(connection, target.schema, "items"),
    }
    # The items first: by then, none of the turns that they belong to is there.
    _copy_injected(connection, source, target, items)
    values["items"] = _last_key(connection, target.schema, "items")
    connection.execute(
        f"INSERT INTO {target.schema}.items (key, thread, turn, {_list(items)})"
        f" SELECT copy, :target, in_turn, {_list(items, 'items')} FROM ({numbered})"
        f" JOIN {source.schema}.items AS items ON items.key = original",
        values,
    )
    connection.execute(
        f"INSERT INTO {target.schema}.turns (key, thread, {_list(turns)})"
        f" SELECT copy, :target, {_list(turns)} FROM ({copied})",
        values,
    )


def _copy_injected(connection: sqlite3.Connection, source: Place, target: Place, columns: set[str]) -> None:
    """Copy the entries before the first turn, unless the target has such entries."""
    there = f"SELECT 1 FROM {target.schema}.items WHERE thread = :target AND turn = 0"
    connection.execute(
        f"INSERT INTO {target.schema}.items (thread, turn, {_list(columns)})"
        f" SELECT :target, 0, {_list(columns)} FROM {source.schema}.items"
        f" WHERE thread = :source AND turn = 0 AND NOT EXISTS ({there}) ORDER BY key",
        {"source": source.thread, "target": target.thread},
    )


def copy_thread(connection: sqlite3.Connection, source: Place, schema: str) -> int:
    """Copy a thread without its turns to another database. Return its key there, 0 if it is not here."""
    columns = _columns(connection, "threads", source, Place(schema, 0)) - {"touched"}
    touch = f"SELECT coalesce(max(number), 0) + 1 FROM {schema}.touches"
    copied = connection.execute(
        f"INSERT INTO {schema}.threads (touched, {_list(columns)})"
        f" SELECT ({touch}), {_list(columns)} FROM {source.schema}.threads WHERE key = ?",
        (source.thread,),
    )
    if not copied.rowcount or copied.lastrowid is None:
        return 0
    key = copied.lastrowid
    connection.execute(
        f"INSERT INTO {schema}.touches (number, thread) SELECT touched, key FROM {schema}.threads WHERE key = ?",
        (key,),
    )
    connection.execute(
        f"INSERT INTO {schema}.thread_settings (thread, settings)"
        f" SELECT ?, settings FROM {source.schema}.thread_settings WHERE thread = ?",
        (key, source.thread),
    )
    return key


def _last_key(connection: sqlite3.Connection, schema: str, table: str) -> int:
    return int(connection.execute(f"SELECT coalesce(max(key), 0) FROM {schema}.{table}").fetchone()[0])


def _columns(connection: sqlite3.Connection, table: str, *places: Place) -> set[str]:
    """Return the columns that a table has in all of these places, but for its keys."""
    found = [{row[1] for row in connection.execute(f"PRAGMA {place.schema}.table_info({table})")} for place in places]
    return set.intersection(*found) - {"key", "thread"}


def _list(columns: set[str], table: str | None = None) -> str:
    prefix = f"{table}." if table else ""
    return ", ".join(f'{prefix}"{column}"' for column in sorted(columns))
