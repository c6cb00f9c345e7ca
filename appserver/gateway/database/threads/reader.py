"""Reads one thread of a user's as of one moment (`threads.stores.base.ThreadReader`).

Runs in a thread, so that a long transcript is decoded beside the event loop. Writes nothing, not even that a turn was
cut off.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

from appserver.errors import ThreadNotFound
from appserver.gateway.database.expressions import Contains
from appserver.gateway.database.threads.queries import ENTRY, LEASED, THREAD, TURN, items_query, turns_query
from appserver.gateway.database.threads.schema import here, items, threads, turns
from appserver.threads.paging import Cursor, StoredItem, decode, no_anchor, page_of
from appserver.threads.stores.base import Continuation, StoredThread, plain
from appserver.threads.stores.rows import (
    dumps,
    entry_in,
    items_in,
    loads,
    metadata_in,
    remembered_in,
    settings_in,
    turn_in,
    usage_in,
)
from appserver.threads.transcript import StoredTurn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from appserver.gateway.database.functions import Query, Rows
    from appserver.gateway.database.threads.schema import Key
    from appserver.threads.paging import Page, PageQuery, Position
    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.stores.rows import Row
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord
    from protocol.turn import ItemsView

    class Runs(Protocol):
        """Tells whether a turn runs (`Node.has`)."""

        def __call__(self, turn_id: str, owner: str, *, leased: bool) -> bool: ...


T = TypeVar("T")

_FIND: Final = sa.select(
    threads.c.touched, threads.c.running, threads.c.owner, LEASED, threads.c.usage, threads.c.settings, *THREAD
).where(here(threads))
_TURNS: Final = sa.select(turns.c.number, *TURN).where(here(turns)).order_by(turns.c.number)
_ENTRIES: Final = (
    sa.select(items.c.turn, *ENTRY).where(here(items), items.c.turn > 0).order_by(items.c.turn, items.c.number)
)
_FIRST_ENTRIES: Final = sa.select(*ENTRY).where(here(items), items.c.turn == 0).order_by(items.c.number)
_FORGOT: Final = sa.select(sa.func.coalesce(sa.func.max(items.c.turn), 0)).where(here(items), items.c.forgets)

HISTORY: Final = (
    sa.select(items.c.item, items.c.remembered, items.c.forgets)
    .where(here(items), items.c.remembered.is_not(None), items.c.turn >= _FORGOT.scalar_subquery())
    .order_by(items.c.turn, items.c.number)
)
"""What `history_in` reads: no more than the model was told since the turn in which it last forgot."""


class Found(NamedTuple):
    """A thread, as it was found."""

    touched: int
    """The number of its last touch."""
    thread: StoredThread
    cut_off: str | None
    """The id of a turn whose node has died."""


def read_thread(
    rows: Rows, key: Key, query: Callable[[ThreadReader], T], runs: Runs, ended: Mapping[str, TurnRecord]
) -> T:
    """Return what a query reads of a thread. Raises RequestError if it is not there.

    `ended`: turns whose end is not in the database yet, by id.
    """
    return query(SqlReader(rows, key, _find(rows, runs, key), ended))


def history_in(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the input items that the next request begins with."""
    found: list[dict[str, Any]] = []
    for item, remembered, forgets in rows:
        if forgets:
            found.clear()
        if (sent := remembered_in(item, remembered)) is not None:
            found.append(sent)
    return found


class SqlReader:
    """One thread, within a transaction that reads."""

    def __init__(self, rows: Rows, key: Key, found: Found, ended: Mapping[str, TurnRecord]) -> None:
        self._rows = rows
        self._key = key
        self._found = found
        self._ended = ended

    def thread(self) -> StoredThread:
        """Return the thread without its transcript."""
        return self._found.thread

    def transcript(self) -> list[StoredTurn]:
        """Return the whole transcript."""
        found = {number: StoredTurn(self._turn(number, tuple(row))) for number, *row in self._select(_TURNS)}
        for turn, group in groupby(self._select(_ENTRIES), key=lambda row: row[0]):
            found[turn].entries = [entry_in(row[1:]) for row in group]
        for one in found.values():
            one.turn.items = [entry.item for entry in one.entries if entry.item is not None]
        return list(found.values())

    def first_entries(self) -> list[Entry]:
        """Return the entries before the first turn: what a client has put into the history."""
        return [entry_in(row) for row in self._select(_FIRST_ENTRIES)]

    def turns(self, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
        """Return a page of turns, each with the items that a view shows at least. Raises InvalidParams."""
        found = {number: self._turn(number, tuple(row)) for number, *row in self._select(turns_query(query))}
        if found and view != "notLoaded":
            within = items.c.turn.between(min(found), max(found))
            select = sa.select(items.c.turn, items.c.item).where(here(items), within, items.c.item.is_not(None))
            texts = self._select(select.order_by(items.c.turn, items.c.number))
            for turn, group in groupby(texts, key=lambda row: row[0]):
                found[turn].items = items_in([text for _, text in group], view)
        return page_of("turns", [((number,), turn) for number, turn in found.items()], query.limit)

    def items(self, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        """Return a page of items, of one turn or of all. Raises InvalidParams."""
        cursor = decode("items", query.cursor)
        if query.anchor is not None:
            cursor = Cursor(self._anchor(turn_id or "", query.anchor))
        found: list[tuple[Position, StoredItem]] = []
        for turn, number, of_turn, *row in self._select(items_query(query, turn_id, cursor)):
            entry = entry_in(tuple(row))
            if entry.item is not None:
                found.append(((turn, number), StoredItem(of_turn, entry.item, entry.completed_at)))
        return page_of("items", found, query.limit)

    def continuation(self) -> Continuation:
        """Return what a record of this thread goes on from. Its place is the number of the last touch."""
        return Continuation(history_in(self._select(HISTORY)), self._found.touched)

    def _select(self, query: Query) -> list[Row]:
        return self._rows(query, self._key.at)

    def _anchor(self, turn_id: str, item_id: str) -> Position:
        """Return the place of an item in a turn. Raises InvalidParams."""
        of_turn = sa.select(turns.c.number).where(here(turns), turns.c.id == plain(turn_id))
        named = Contains(items.c.item, dumps(item_id))
        select = sa.select(items.c.turn, items.c.number, items.c.item)
        for turn, number, text in self._select(select.where(here(items), items.c.turn.in_(of_turn), named)):
            if loads(text).get("id") == item_id:
                return turn, number
        raise no_anchor()

    def _turn(self, number: int, row: tuple[object, ...]) -> TurnRecord:
        """Read a turn; one that was cut off ended no later than its last item, as far as anybody was told."""
        turn = turn_in(row)
        if turn.id in self._ended:
            return replace(self._ended[turn.id], items=[])
        if turn.id == self._found.cut_off:
            last = sa.select(sa.func.max(items.c.completed_at)).where(here(items), items.c.turn == number)
            ((at,),) = self._select(last)
            turn.status, turn.completed_at = "interrupted", at or turn.started_at
        return turn


def _find(rows: Rows, runs: Runs, key: Key) -> Found:
    for touched, running, owner, leased, usage, settings, *metadata in rows(_FIND, key.at):
        cut_off = running if running is not None and not runs(running, owner, leased=leased) else None
        thread = StoredThread(metadata_in(tuple(metadata)), settings_in(settings), usage_in(usage))
        return Found(touched, thread, cut_off)
    raise ThreadNotFound(key.thread_id)
