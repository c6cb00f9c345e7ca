"""The statements that read pages of a user's threads: threads in either order, turns, items.

Each goes along an index from the cursor's position and stops after the page, so a page costs the same wherever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from appserver.gateway.database.expressions import Contains, Now
from appserver.gateway.database.schema import nodes, users
from appserver.gateway.database.threads.schema import here, items, threads, touches, turns
from appserver.threads.paging import NOW, check_beginning, decode, page_of
from appserver.threads.stores.base import folded, plain
from appserver.threads.stores.rows import ENTRY_COLUMNS, THREAD_COLUMNS, TURN_COLUMNS, metadata_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.gateway.database.functions import Rows
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Cursor, Page, PageQuery, Position, ThreadQuery


def columns(table: sa.Table, names: str) -> tuple[sa.Column[Any], ...]:
    """Return the columns of a table that `threads.stores.rows` names."""
    return tuple(table.c[name] for name in names.split(", "))


THREAD = columns(threads, THREAD_COLUMNS)
TURN = columns(turns, TURN_COLUMNS)
ENTRY = columns(items, ENTRY_COLUMNS)

LEASED: Final = sa.exists().where(nodes.c.id == threads.c.owner, nodes.c.until > Now())
"""Whether the node that runs a thread's turn has a lease that has not run out."""


def read_threads(rows: Rows, user_id: str, query: ThreadQuery) -> Page[ThreadMetadata]:
    """Return a page of a user's threads. Raises InvalidParams."""
    cursor = decode(query.sort_key, query.cursor)
    wanted = sa.and_(threads.c.user_id == user_id, threads.c.listed, *_filters(query))
    if query.sort_key == "created_at":
        found = _by_creation(rows, wanted, query, cursor)
    else:
        found = _by_touch(rows, user_id, wanted, query, cursor)
    return page_of(query.sort_key, found, query.limit)


def turns_query(query: PageQuery) -> sa.Select[Any]:
    """Return what reads the number and TURN_COLUMNS of a page of turns."""
    select = sa.select(turns.c.number, *TURN).where(here(turns))
    return _page(select, (turns.c.number,), query, decode("turns", query.cursor))


def items_query(query: PageQuery, turn_id: str | None, cursor: Cursor | None) -> sa.Select[Any]:
    """Return what reads turn, number, the turn's id and ENTRY_COLUMNS of a page of items."""
    of_turn = sa.and_(here(turns), turns.c.number == items.c.turn)
    select = sa.select(items.c.turn, items.c.number, turns.c.id, *ENTRY).join_from(items, turns, of_turn)
    select = select.where(here(items), items.c.item.is_not(None))
    if turn_id is not None:
        select = select.where(turns.c.id == plain(turn_id))
    return _page(select, (items.c.turn, items.c.number), query, cursor)


def _by_creation(
    rows: Rows, wanted: sa.ColumnElement[bool], query: ThreadQuery, cursor: Cursor | None
) -> list[tuple[Position, ThreadMetadata]]:
    order = (threads.c.created_at, threads.c.id)
    if cursor is not None:
        cursor = cursor._replace(position=(cursor.position[0], plain(str(cursor.position[1]))))
    select = _page(sa.select(*order, *THREAD).where(wanted), order, query, cursor)
    return [((created_at, thread_id), metadata_in(tuple(row))) for created_at, thread_id, *row in rows(select, {})]


def _by_touch(
    rows: Rows,
    user_id: str,
    wanted: sa.ColumnElement[bool],
    query: ThreadQuery,
    cursor: Cursor | None,
) -> list[tuple[Position, ThreadMetadata]]:
    """Find threads at their places as of the first page: those touched since, few, by their touches before."""
    last = sa.select(users.c.touched).where(users.c.id == user_id)
    newest = next((number for (number,) in rows(last, {})), 0)
    as_of = newest if cursor is None or cursor.position[0] == NOW else int(cursor.position[0])
    check_beginning(as_of, newest)
    at = None if cursor is None else cursor._replace(position=cursor.position[1:])
    unmoved = sa.select(threads.c.touched.label("place"), *THREAD).where(wanted, threads.c.touched <= as_of)
    before = (
        sa.select(sa.func.max(touches.c.number))
        .where(touches.c.user_id == user_id, touches.c.thread_id == threads.c.id, touches.c.number <= as_of)
        .scalar_subquery()
        .label("place")
    )
    moved = sa.select(before, *THREAD).where(wanted, threads.c.touched > as_of).subquery()
    moved_then = sa.select(moved).where(moved.c.place.is_not(None))
    halves = (
        _page(unmoved, (threads.c.touched,), query, at).subquery(),
        _page(moved_then, (moved.c.place,), query, at).subquery(),
    )
    found = rows(sa.union_all(*map(sa.select, halves)), {})
    found.sort(key=lambda row: int(row[0]), reverse=query.descending)
    return [((as_of, place), metadata_in(tuple(row))) for place, *row in found]


def _filters(query: ThreadQuery) -> list[sa.ColumnElement[bool]]:
    where = [threads.c.archived == query.archived]
    for column, allowed in ((threads.c.cwd, query.cwds), (threads.c.provider, query.providers)):
        if allowed is not None:
            where.append(column.in_([plain(one) for one in allowed]))
    if query.excluded:
        where.append(threads.c.id.not_in([plain(one) for one in query.excluded]))
    if query.search:
        sought = folded(query.search)
        where.append(sa.or_(*(Contains(threads.c[name], sought) for name in _SEARCHED)))
    return where


_SEARCHED = ("name_folded", "preview_folded")


def _page(
    select: sa.Select[Any],
    order: Sequence[sa.ColumnElement[Any]],
    query: PageQuery | ThreadQuery,
    cursor: Cursor | None,
) -> sa.Select[Any]:
    """Begin where the cursor is, and stop one row after the page: that one tells whether there is another."""
    if cursor is not None:
        at = sa.tuple_(*order)
        there = sa.tuple_(*(sa.literal(value, one.type) for value, one in zip(cursor.position, order, strict=True)))
        if query.descending:
            select = select.where(at <= there if cursor.inclusive else at < there)
        else:
            select = select.where(at >= there if cursor.inclusive else at > there)
    return select.order_by(*(one.desc() if query.descending else one.asc() for one in order)).limit(query.limit + 1)
