"""Copies of transcripts, made inside SQLite: the rows of a long one are neither decoded nor encoded.

All columns of a row are copied that both tables have, also those that only a newer version knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

HERE = "main"
"""The schema of the database that a connection was opened on."""


class Place(NamedTuple):
    """A thread's key, and the schema that it is in."""

    schema: str
    thread: int


def copy_turns(connection: sqlite3.Connection, source: Place, target: Place, last: int) -> None:
    """Copy the turns of a thread up to the one with this key, and their items, to a thread that has none."""
    turns = _columns(connection, "turns", source, target)
    items = _columns(connection, "items", source, target) - {"turn"}
    numbered = f"SELECT *, :base + row_number() OVER (ORDER BY key) AS copy FROM {source.schema}.turns"
    copied = f"{numbered} WHERE thread = :source AND key <= :last"
    (base,) = connection.execute(f"SELECT coalesce(max(key), 0) FROM {target.schema}.turns").fetchone()
    values = {"base": base, "source": source.thread, "target": target.thread, "last": last}
    connection.execute(
        f"INSERT INTO {target.schema}.turns (key, thread, {_list(turns)})"
        f" SELECT copy, :target, {_list(turns)} FROM ({copied}) ORDER BY copy",
        values,
    )
    connection.execute(
        f"INSERT INTO {target.schema}.items (thread, turn, {_list(items)})"
        f" SELECT :target, copy, {_list(items, 'items')} FROM ({copied}) AS copied"
        f" JOIN {source.schema}.items AS items ON items.thread = :source AND items.turn = copied.key"
        " ORDER BY copy, items.key",
        values,
    )


def _columns(connection: sqlite3.Connection, table: str, *places: Place) -> set[str]:
    """Return the columns that a table has in all of these places, but for its keys."""
    found = [{row[1] for row in connection.execute(f"PRAGMA {place.schema}.table_info({table})")} for place in places]
    return set.intersection(*found) - {"key", "thread"}


def _list(columns: set[str], table: str | None = None) -> str:
    prefix = f"{table}." if table else ""
    return ", ".join(f'{prefix}"{column}"' for column in sorted(columns))
