"""The statements that change a user's threads, within a transaction.

What touches a thread counts the touch first: that locks the user's row until the transaction ends, so touches are
numbered in the order in which they are committed, which pages rely on. Then it locks the thread's row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from appserver.errors import ThreadNotFound
from appserver.gateway.database.schema import users
from appserver.gateway.database.threads.queries import LEASED
from appserver.gateway.database.threads.schema import here, items, threads, touches, turns
from appserver.threads.paging import MAX_INTEGER, PRUNING_STEP, horizon
from appserver.threads.stores.base import plain
from appserver.threads.stores.rows import ENTRY_COLUMNS, TURN_COLUMNS, entry_row, settings_text, thread_row, turn_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appserver.gateway.database.node import Node
    from appserver.gateway.database.threads.schema import Key
    from appserver.threads.stores.base import StoredThread
    from appserver.threads.transcript import Cut, Entry
    from appserver.threads.turn_record import TurnRecord

# Made once: to make a statement costs several times as much as to run it.

_COUNT: Final = (
    sa.update(users)
    .where(users.c.id == sa.bindparam("at_user"))
    .values(touched=users.c.touched + 1)
    .returning(users.c.touched)
)
_LOCK: Final = (
    sa.select(threads.c.touched, threads.c.turns, threads.c.running, threads.c.owner, LEASED)
    .where(here(threads))
    .with_for_update(key_share=True, of=threads)
)
_UPDATE: Final = sa.update(threads).where(here(threads))
_IS_MINE: Final = sa.and_(threads.c.owner == sa.bindparam("my_node"), threads.c.running == sa.bindparam("my_turn"))
_LAST_ITEM: Final = sa.select(sa.func.coalesce(sa.func.max(items.c.number), 0)).where(
    here(items), items.c.turn == sa.bindparam("at_turn")
)

START: Final = (
    _UPDATE.where(threads.c.touched == sa.bindparam("known"), threads.c.running.is_(None))
    .values(listed=True, turns=threads.c.turns + 1)
    .returning(threads.c.turns)
)
"""Begins a turn (columns `running` and `owner`) in a thread that is as it is known, and in which none runs."""

END: Final = _UPDATE.where(_IS_MINE).values(running=None, owner=None).returning(threads.c.turns)
"""Ends a turn of this node, if it still is."""

_ADD: Final = sa.insert(items).from_select(
    [column.name for column in items.columns],
    sa.select(*(sa.bindparam(f"new_{column.name}", type_=column.type) for column in items.columns))
    .select_from(threads)
    .where(here(threads), _IS_MINE)
    .with_for_update(key_share=True),
)

_IS_LISTED: Final = sa.or_(threads.c.name_folded != "", sa.exists().where(here(turns)))

LIST: Final = _UPDATE.values(listed=_IS_LISTED)
"""Has a thread listed if it has a turn or a name."""

_LAST_OF_TURN: Final = sa.select(sa.func.max(items.c.completed_at)).where(here(items), items.c.turn == turns.c.number)
_INTERRUPT: Final = (
    sa.update(turns)
    .where(here(turns), turns.c.id == sa.bindparam("at_turn"))
    # Its last item is the last that a client was told of it.
    .values(status="interrupted", completed_at=sa.func.coalesce(_LAST_OF_TURN.scalar_subquery(), turns.c.started_at))
)


class Locked(NamedTuple):
    """A thread whose row is locked until the transaction ends."""

    touched: int
    turns: int
    running: str | None
    """The id of the turn that runs in it."""


def next_touch(connection: sa.Connection, key: Key) -> int:
    """Count a touch, and return its number. Raises ThreadNotFound where the user is gone, and with them their threads.

    Now and then, forget those that no page needs any more.
    """
    number = connection.execute(_COUNT, {"at_user": key.user_id}).scalar_one_or_none()
    if number is None:
        raise ThreadNotFound(key.thread_id)
    if number % PRUNING_STEP == 0:
        _forget_touches(connection, key.user_id, horizon(number))
    return int(number)


def lock_thread(connection: sa.Connection, node: Node, key: Key) -> Locked:
    """Lock a thread against other changes, and end a turn whose node has died. Raises ThreadNotFound."""
    row = connection.execute(_LOCK, key.at).one_or_none()
    if row is None:
        raise ThreadNotFound(key.thread_id)
    touched, count, running, owner, leased = row
    if running is not None and not node.has(running, owner, leased=leased):
        connection.execute(_INTERRUPT, {**key.at, "at_turn": running})
        update_thread(connection, key, {"running": None, "owner": None})
        running = None
    return Locked(touched, count, running)


def insert_thread(
    connection: sa.Connection, key: Key, thread: StoredThread, touched: int, count: int, *, listed: bool
) -> None:
    """Write a new thread without its turns. `count`: of these."""
    row = thread_row(thread.metadata, thread.usage, touched, listed=listed)
    new = {**row, "user_id": key.user_id, "archived": False, "turns": count, "settings": settings_text(thread.settings)}
    connection.execute(sa.insert(threads), new)
    connection.execute(sa.insert(touches), {**key.columns, "number": touched})


def touch(connection: sa.Connection, key: Key, number: int, columns: Mapping[str, Any] | None = None) -> None:
    """Note that something happened to a thread, and set columns of its row."""
    update_thread(connection, key, {"touched": number, "updated_at": time.time(), **(columns or {})})
    connection.execute(sa.insert(touches), {**key.columns, "number": number})


def touch_if(
    connection: sa.Connection, statement: sa.Executable, key: Key, number: int, values: Mapping[str, Any]
) -> int | None:
    """Touch a thread by START or END, and return the number of its last turn; None: it is not as the statement says.

    `values`: parameters of the statement, and further columns to set.
    """
    row = {**key.at, "touched": number, "updated_at": time.time(), **values}
    turn: int | None = connection.execute(statement, row).scalar_one_or_none()
    if turn is not None:
        connection.execute(sa.insert(touches), {**key.columns, "number": number})
    return turn


def update_thread(connection: sa.Connection, key: Key, columns: Mapping[str, Any]) -> bool:
    """Set columns of a thread's row. Return whether there is one."""
    return bool(connection.execute(_UPDATE, {**key.at, **columns}).rowcount)


def turn_columns(turn: TurnRecord) -> dict[str, Any]:
    """Return the columns of `turns` that tell of a turn."""
    return dict(zip(TURN_COLUMNS.split(", "), turn_row(turn), strict=True))


def insert_turn(connection: sa.Connection, key: Key, number: int, turn: TurnRecord) -> None:
    """Write a turn."""
    columns = {**turn_columns(turn), "started_at": turn.started_at or time.time()}
    connection.execute(sa.insert(turns), {**key.columns, "number": number, **columns})


def insert_entries(connection: sa.Connection, key: Key, turn: int, entries: Iterable[Entry], first: int = 1) -> None:
    """Write what the finished items of a turn left. `first`: the number of the first of these."""
    rows = [_item(key, turn, number, entry) for number, entry in enumerate(entries, first)]
    if rows:
        connection.execute(sa.insert(items), rows)


def add_entry(
    connection: sa.Connection, key: Key, turn: int, entry: Entry, number: int, mine: Mapping[str, str]
) -> bool:
    """Write what a finished item of a turn left, if the turn is still this node's. Return whether it is.

    `mine`: the parameters my_node and my_turn.
    """
    row = {f"new_{name}": value for name, value in _item(key, turn, number, entry).items()}
    return bool(connection.execute(_ADD, {**key.at, **mine, **row}).rowcount)


def next_item(connection: sa.Connection, key: Key, turn: int) -> int:
    """Return the number that the next item of a turn gets."""
    return int(connection.execute(_LAST_ITEM, {**key.at, "at_turn": turn}).scalar_one()) + 1


def copy_turns(connection: sa.Connection, source: Key, target: Key, last: int) -> None:
    """Copy the turns of a thread up to a number. A running one is interrupted."""
    runs = turns.c.status == "inProgress"
    interrupted: dict[str, sa.ColumnElement[Any]] = {
        "status": sa.case((runs, "interrupted"), else_=turns.c.status),
        "completed_at": sa.case((runs, time.time()), else_=turns.c.completed_at),
    }
    _copy(connection, turns, source, target, turns.c.number <= last, interrupted)
    _copy(connection, items, source, target, items.c.turn <= last, {})


def last_turn(connection: sa.Connection, key: Key, cut: Cut) -> int:
    """Return the greatest number that a turn up to a cut may have. Raises RequestError."""
    if cut.turn is None:
        return MAX_INTEGER
    named = sa.select(turns.c.number, turns.c.status).where(here(turns), turns.c.id == plain(cut.turn))
    row = connection.execute(named.order_by(turns.c.number).limit(1), key.at).one_or_none()
    number, status = (0, None) if row is None else row
    cut.check(status)
    return int(number) - 1 if cut.before else int(number)


def delete_turns_after(connection: sa.Connection, key: Key, last: int) -> None:
    """Delete the turns of a thread whose numbers are greater, and their items."""
    connection.execute(sa.delete(items).where(here(items), items.c.turn > last), key.at)
    connection.execute(sa.delete(turns).where(here(turns), turns.c.number > last), key.at)


def _forget_touches(connection: sa.Connection, user_id: str, end: int) -> None:
    """Delete touches: each time the earlier ones of the threads that the PRUNING_STEP touches before an end are of."""
    later, earlier = touches.alias(), touches.alias()
    same = sa.and_(earlier.c.user_id == user_id, earlier.c.thread_id == later.c.thread_id)
    numbers = (
        sa.select(earlier.c.number)
        .join_from(later, earlier, sa.and_(same, earlier.c.number < later.c.number))
        .where(later.c.user_id == user_id, later.c.number > end - PRUNING_STEP, later.c.number <= end)
    )
    connection.execute(sa.delete(touches).where(touches.c.user_id == user_id, touches.c.number.in_(numbers)))


def _item(key: Key, turn: int, number: int, entry: Entry) -> dict[str, Any]:
    columns = zip(ENTRY_COLUMNS.split(", "), entry_row(entry), strict=True)
    return {**key.columns, "turn": turn, "number": number, **dict(columns)}


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    source: Key,
    target: Key,
    wanted: sa.ColumnElement[bool],
    changed: Mapping[str, sa.ColumnElement[Any]],
) -> None:
    """Copy rows of a thread to another one, some columns with other values."""
    other = {"thread_id": sa.literal(target.thread_id), **changed}
    names = [column.name for column in table.columns]
    values = sa.select(*(other.get(name, table.c[name]) for name in names)).where(here(table), wanted)
    connection.execute(sa.insert(table).from_select(names, values), source.at)
