"""The statements that read pages from threads.db: threads in either order, turns, items.

Each goes along an index from the cursor's position and stops after the page, so a page costs the same wherever it
is. Lists of threads never look at turns or items.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from appserver.threads.paging import NOW, Cursor, StoredItem, check_beginning, decode, no_anchor, page_of
from appserver.threads.stores.base import folded, plain
from appserver.threads.stores.rows import (
    ENTRY_COLUMNS,
    THREAD_COLUMNS,
    TURN_COLUMNS,
    dumps,
    entry_in,
    items_in,
    loads,
    metadata_in,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, PageQuery, Position, ThreadQuery
    from appserver.threads.turn_record import TurnRecord
    from protocol.turn import ItemsView


@dataclass(frozen=True, slots=True)
class _Clause:
    """A piece of SQL and the values of its marks."""

    sql: str
    values: tuple[Any, ...] = ()

    def __add__(self, other: _Clause) -> _Clause:
        return _Clause(f"{self.sql} {other.sql}", (*self.values, *other.values))


def read_threads(connection: sqlite3.Connection, query: ThreadQuery) -> Page[ThreadMetadata]:
    """Return a page of threads."""
    cursor = decode(query.sort_key, query.cursor)
    if query.sort_key == "created_at":
        found = _by_creation(connection, query, cursor)
    else:
        found = _by_touch(connection, query, cursor)
    return page_of(query.sort_key, found, query.limit)


def read_turns(
    connection: sqlite3.Connection,
    thread: int,
    query: PageQuery,
    view: ItemsView,
    turn_of: Callable[[int, str | None, tuple[Any, ...]], TurnRecord],
) -> Page[TurnRecord]:
    """Return a page of turns, made of key, owner and TURN_COLUMNS."""
    select = _Clause(f"SELECT key, owner, {TURN_COLUMNS} FROM turns WHERE thread = ?", (thread,))
    where = _from(("key",), decode("turns", query.cursor), descending=query.descending)
    rows = _run(connection, select + where + _order(("key",), query.descending, query.limit))
    found = {key: turn_of(key, owner, tuple(row)) for key, owner, *row in rows}
    if found and view != "notLoaded":
        items = connection.execute(
            "SELECT turn, item FROM items WHERE thread = ? AND turn BETWEEN ? AND ? AND item IS NOT NULL"
            " ORDER BY turn, key",
            (thread, min(found), max(found)),
        )
        for turn, group in groupby(items, key=lambda row: row[0]):
            found[turn].items = items_in([text for _, text in group], view)
    return page_of("turns", [((key,), turn) for key, turn in found.items()], query.limit)


def read_items(connection: sqlite3.Connection, thread: int, query: PageQuery, turn_id: str | None) -> Page[StoredItem]:
    """Return a page of items."""
    select = _Clause(
        f"SELECT turn, key, (SELECT id FROM turns WHERE turns.key = turn), {ENTRY_COLUMNS} FROM items"
        " WHERE thread = ? AND item IS NOT NULL",
        (thread,),
    )
    if turn_id is not None:
        select += _Clause("AND turn IN (SELECT key FROM turns WHERE thread = ? AND id = ?)", (thread, plain(turn_id)))
    cursor = decode("items", query.cursor)
    if query.anchor is not None:
        cursor = Cursor(_anchor(connection, thread, turn_id or "", query.anchor))
    where = _from(("turn", "key"), cursor, descending=query.descending)
    rows = _run(connection, select + where + _order(("turn", "key"), query.descending, query.limit))
    found: list[tuple[Position, StoredItem]] = []
    for turn, key, of_turn, *row in rows:
        entry = entry_in(tuple(row))
        if entry.item is not None:
            found.append(((turn, key), StoredItem(of_turn, entry.item, entry.completed_at)))
    return page_of("items", found, query.limit)


def _anchor(connection: sqlite3.Connection, thread: int, turn_id: str, item_id: str) -> Position:
    """Return the place of an item in a turn. Raises InvalidParams."""
    rows = connection.execute(
        "SELECT turn, key, item FROM items WHERE thread = ? AND instr(item, ?)"
        " AND turn IN (SELECT key FROM turns WHERE thread = ? AND id = ?)",
        (thread, dumps(item_id), thread, plain(turn_id)),
    )
    for turn, key, text in rows:
        if loads(text).get("id") == item_id:
            return turn, key
    raise no_anchor()


def _by_creation(
    connection: sqlite3.Connection, query: ThreadQuery, cursor: Cursor | None
) -> list[tuple[Position, ThreadMetadata]]:
    order = ("created_at", "id")
    if cursor is not None:
        cursor = cursor._replace(position=(cursor.position[0], plain(str(cursor.position[1]))))
    select = _Clause(f"SELECT created_at, id, {THREAD_COLUMNS} FROM threads WHERE listed") + _filters(query)
    where = _from(order, cursor, descending=query.descending)
    rows = _run(connection, select + where + _order(order, query.descending, query.limit))
    return [((created_at, thread_id), metadata_in(tuple(row))) for created_at, thread_id, *row in rows]


def _by_touch(
    connection: sqlite3.Connection, query: ThreadQuery, cursor: Cursor | None
) -> list[tuple[Position, ThreadMetadata]]:
    """Find threads at their places as of the first page: those touched since, few, by their touches before."""
    (newest,) = connection.execute("SELECT coalesce(max(number), 0) FROM touches").fetchone()
    as_of = newest if cursor is None or cursor.position[0] == NOW else int(cursor.position[0])
    check_beginning(as_of, newest)
    at = None if cursor is None else cursor._replace(position=cursor.position[1:])
    unmoved = _Clause(f"SELECT touched AS place, {THREAD_COLUMNS} FROM threads WHERE listed AND touched <= ?", (as_of,))
    unmoved += _filters(query) + _from(("touched",), at, descending=query.descending)
    moved = _Clause(
        f"SELECT * FROM (SELECT (SELECT max(number) FROM touches WHERE thread = threads.key AND number <= ?) AS place,"
        f" {THREAD_COLUMNS} FROM threads WHERE listed AND touched > ?",
        (as_of, as_of),
    )
    moved += _filters(query) + _Clause(") WHERE place IS NOT NULL") + _from(("place",), at, descending=query.descending)
    ordered = _order(("place",), query.descending, query.limit)
    both = _Clause("SELECT * FROM (") + unmoved + ordered + _Clause(") UNION ALL SELECT * FROM (") + moved + ordered
    rows = _run(connection, both + _Clause(")"))
    rows.sort(key=lambda row: row[0], reverse=query.descending)
    return [((as_of, place), metadata_in(tuple(row))) for place, *row in rows]


def _filters(query: ThreadQuery) -> _Clause:
    where = _Clause("AND archived = ?", (query.archived,))
    for column, allowed in (("cwd", query.cwds), ("provider", query.providers)):
        if allowed is not None:
            where += _Clause(f"AND {column} IN ({', '.join('?' * len(allowed))})", tuple(map(plain, allowed)))
    if query.excluded:
        where += _Clause(f"AND id NOT IN ({', '.join('?' * len(query.excluded))})", query.excluded)
    if query.search:
        sought = folded(query.search)
        where += _Clause("AND (instr(name_folded, ?) OR instr(preview_folded, ?))", (sought, sought))
    return where


def _from(columns: tuple[str, ...], cursor: Cursor | None, *, descending: bool) -> _Clause:
    """Begin where the cursor is."""
    if cursor is None:
        return _Clause("")
    compare = ("<" if descending else ">") + ("=" if cursor.inclusive else "")
    marks = ", ".join("?" * len(columns))
    return _Clause(f"AND ({', '.join(columns)}) {compare} ({marks})", cursor.position)


def _order(columns: tuple[str, ...], descending: bool, limit: int) -> _Clause:
    """Sort, and stop one row after the page: that one tells whether there is another."""
    direction = "DESC" if descending else "ASC"
    return _Clause("ORDER BY " + ", ".join(f"{column} {direction}" for column in columns) + " LIMIT ?", (limit + 1,))


def _run(connection: sqlite3.Connection, clause: _Clause) -> list[tuple[Any, ...]]:
    return connection.execute(clause.sql, clause.values).fetchall()
