"""The rows of one loaded thread in the gateway's database, as its recorder writes them: a transaction each time.

Each checks that the turn is still this node's: another node takes it for interrupted once the lease has run out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa
from anyio import to_thread

from appserver.errors import ThreadNotFound, ThreadStoreError
from appserver.gateway.database.threads.queries import THREAD
from appserver.gateway.database.threads.reader import HISTORY, history_in
from appserver.gateway.database.threads.schema import here, threads, turns
from appserver.gateway.database.threads.writes import (
    END,
    LIST,
    START,
    Locked,
    add_entry,
    delete_turns_after,
    insert_entries,
    insert_turn,
    last_turn,
    lock_thread,
    next_item,
    next_touch,
    touch,
    touch_if,
    turn_columns,
    update_thread,
)
from appserver.log import warn
from appserver.threads.stores.base import UNAVAILABLE, StoredThread, turn_is_active
from appserver.threads.stores.recorder import UNKNOWN, News
from appserver.threads.stores.rows import changing_columns, metadata_in, settings_in, settings_text, usage_in
from appserver.threads.transcript import Cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.gateway.database.node import Node
    from appserver.gateway.database.threads.schema import Key
    from appserver.gateway.database.threads.transactions import Transactions
    from appserver.threads.stores.rows import Row
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord

_END_TURN: Final = sa.update(turns).where(here(turns), turns.c.number == sa.bindparam("at_turn"))
_LAST_TURN: Final = sa.select(sa.func.coalesce(sa.func.max(turns.c.number), 0)).where(here(turns))
_STORED: Final = sa.select(threads.c.usage, threads.c.settings, *THREAD).where(here(threads))


class _Stored(NamedTuple):
    """What another node has left of a thread. The history may be long: it is decoded later."""

    news: News
    history: list[Row]


class SqlThreadRows:
    """Those of one loaded thread (`threads.stores.recorder.ThreadRows`)."""

    def __init__(self, node: Node, transactions: Transactions, key: Key, touched: int) -> None:
        """`touched`: the number of the last touch. If it is another one, another node has changed the thread."""
        self._node = node
        self._transactions = transactions
        self._key = key
        self._touched = touched
        self._turn, self._turn_id, self._items = 0, "", 0
        """The running turn's number and id, and how many items it has."""
        self._gave_up = False
        """Whether the running turn has waited for the database in vain."""

    async def start_turn(self, turn: TurnRecord, entries: Sequence[Entry], changed: StoredThread | None) -> News | None:
        """Write a new turn with its first entries. Return what other nodes have done before, if anything."""

        def start(connection: sa.Connection) -> tuple[int, int, _Stored | None]:
            touched, stored = next_touch(connection, self._key), None
            columns: dict[str, Any] = {"running": turn.id, "owner": self._node.id}
            known = {"known": self._touched, **columns, **_columns(changed)}
            number = touch_if(connection, START, self._key, touched, known)
            if number is None:
                locked = self._lock_unused(connection)
                number, stored = locked.turns + 1, self._stored(connection, locked)
                written = changed if stored is None or changed is None else stored.news.put_into(changed)
                columns |= {"listed": True, "turns": number, **_columns(written)}
                touch(connection, self._key, touched, columns)
            insert_turn(connection, self._key, number, turn)
            insert_entries(connection, self._key, number, entries)
            return number, touched, stored

        try:
            started = await self._transactions.write(start, partial(self._node.begin, turn.id))
        except BaseException:
            self._node.end(turn.id)
            raise
        self._turn, self._touched, stored = started
        self._turn_id, self._items, self._gave_up = turn.id, len(entries), False
        return None if stored is None else await _news(stored)

    async def add_entry(self, entry: Entry, changed: StoredThread | None) -> None:
        """Write what a finished item of the turn left."""
        self._items += 1
        number, mine = self._items, self._mine

        def add(connection: sa.Connection) -> None:
            if not add_entry(connection, self._key, self._turn, entry, number, mine):
                raise self._lost(connection)
            if changed is not None:
                update_thread(connection, self._key, _columns(changed))

        try:
            await self._transactions.write(add)
        except ThreadStoreError:
            self._gave_up = True
            raise

    async def end_turn(self, turn: TurnRecord, thread: StoredThread, *, changed: bool) -> None:
        """Write how the turn ended: now, or as soon as that is possible."""
        columns = {**changing_columns(thread.metadata, thread.usage), **self._mine}
        if changed:
            columns["settings"] = settings_text(thread.settings)
        ended = {**self._key.at, "at_turn": self._turn, **turn_columns(turn)}

        def end(connection: sa.Connection) -> int:
            try:
                touched = next_touch(connection, self._key)
            except ThreadNotFound:
                return UNKNOWN
            if touch_if(connection, END, self._key, touched, columns) is None:
                return UNKNOWN
            connection.execute(_END_TURN, ended)
            return touched

        before, self._touched = self._touched, UNKNOWN
        try:
            touched = await self._transactions.write(end, patient=not self._gave_up)
        except ThreadStoreError as exc:
            self._transactions.defer(replace(turn, items=[]), end, partial(self._node.end, turn.id))
            warn(f"the end of a turn could not be written yet: {exc.message}")
        except BaseException:
            self._node.end(turn.id)
            raise
        else:
            self._node.end(turn.id)
            self._touched = UNKNOWN if before == UNKNOWN else touched

    @property
    def has_deferred(self) -> bool:
        """Whether there are ends of turns that could not be written in time."""
        return self._transactions.has_deferred

    async def write_deferred(self) -> None:
        """Try to write them."""
        await self._transactions.write_deferred()

    async def change_settings(self, changed: StoredThread) -> None:
        """Write the settings of the thread."""

        def change(connection: sa.Connection) -> None:
            if not update_thread(connection, self._key, _columns(changed)):
                raise ThreadNotFound(self._key.thread_id)

        await self._transactions.write(change)

    async def inject(self, entries: Sequence[Entry]) -> News | None:
        """Write entries behind the last turn. Return what other nodes have done before, if anything."""

        def add(connection: sa.Connection) -> tuple[int, _Stored | None]:
            touched = next_touch(connection, self._key)
            stored = self._stored(connection, self._lock_unused(connection))
            turn: int = connection.execute(_LAST_TURN, self._key.at).scalar_one()
            insert_entries(connection, self._key, turn, entries, next_item(connection, self._key, turn))
            touch(connection, self._key, touched)
            return touched, stored

        self._touched, stored = await self._transactions.write(add)
        return None if stored is None else await _news(stored)

    async def revert(self, before: str) -> News:
        """Delete a turn and all that came after it, and return what is left."""

        def delete(connection: sa.Connection) -> tuple[int, _Stored]:
            touched = next_touch(connection, self._key)
            self._lock_unused(connection)
            delete_turns_after(connection, self._key, last_turn(connection, self._key, Cut(before=before)))
            touch(connection, self._key, touched)
            connection.execute(LIST, self._key.at)
            return touched, _read_stored(connection, self._key)

        self._touched, stored = await self._transactions.write(delete)
        return await _news(stored)

    @property
    def _mine(self) -> dict[str, str]:
        """The parameters of a statement that is about a turn of this node."""
        return {"my_node": self._node.id, "my_turn": self._turn_id}

    def _lock_unused(self, connection: sa.Connection) -> Locked:
        """Lock the thread. Raises RequestError if a turn runs in it."""
        locked = lock_thread(connection, self._node, self._key)
        if locked.running is not None:
            raise turn_is_active(locked.running)
        return locked

    def _stored(self, connection: sa.Connection, locked: Locked) -> _Stored | None:
        """Return the thread if another node has changed it."""
        return None if locked.touched == self._touched else _read_stored(connection, self._key)

    def _lost(self, connection: sa.Connection) -> Exception:
        """Return why the turn cannot be written to any more."""
        if connection.execute(_STORED, self._key.at).one_or_none() is None:
            return ThreadNotFound(self._key.thread_id)
        words = "another node took it for interrupted, as this one could not reach the database in time"
        return ThreadStoreError(f"turn {self._turn_id} cannot be written: {words}", UNAVAILABLE)


def _columns(changed: StoredThread | None) -> dict[str, Any]:
    if changed is None:
        return {}
    return {**changing_columns(changed.metadata, changed.usage), "settings": settings_text(changed.settings)}


def _read_stored(connection: sa.Connection, key: Key) -> _Stored:
    usage, settings, *metadata = connection.execute(_STORED, key.at).one()
    news = News(metadata_in(tuple(metadata)).unknown, settings_in(settings).unknown, [], usage_in(usage))
    return _Stored(news, [tuple(row) for row in connection.execute(HISTORY, key.at)])


async def _news(stored: _Stored) -> News:
    return stored.news._replace(history=await to_thread.run_sync(history_in, stored.history))
