"""Reads one thread from threads.db within one read transaction (`stores.base.ThreadReader`).

Runs in the worker. Writes nothing, not even that a turn was cut off: whether the process of a running turn lives is
asked once, when the reading begins.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from appserver.errors import ThreadNotFound
from appserver.threads.stores.base import Continuation, StoredThread, plain
from appserver.threads.stores.rows import (
    ENTRY_COLUMNS,
    THREAD_COLUMNS,
    TURN_COLUMNS,
    entry_in,
    metadata_in,
    settings_in,
    turn_in,
    usage_in,
)
from appserver.threads.stores.sqlite.history import load_history
from appserver.threads.stores.sqlite.queries import read_items, read_turns
from appserver.threads.transcript import StoredTurn

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from appserver.threads.paging import Page, PageQuery, StoredItem
    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.stores.sqlite.file import ThreadsFile
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord
    from protocol.turn import ItemsView

T = TypeVar("T")

_FIND = (
    "SELECT key, touched, (SELECT group_concat(owner) FROM turns WHERE thread = threads.key AND owner IS NOT NULL)"
    " FROM threads WHERE id = ?"
)


class Found(NamedTuple):
    """A thread, and its place in the database."""

    generation: int
    key: int
    touched: int
    dead: frozenset[str] = frozenset()
    """Owners of its turns that do not live any more."""


class SqliteReader:
    """One thread, as of the beginning of a read transaction."""

    def __init__(self, connection: sqlite3.Connection, found: Found, ended: Mapping[str, TurnRecord]) -> None:
        """`ended`: turns whose end is not in the database yet, by id."""
        self._connection = connection
        self._found = found
        self._ended = ended

    def thread(self) -> StoredThread:
        """Return the thread without its transcript."""
        usage, settings, *metadata = self._connection.execute(
            f"SELECT usage, settings, {THREAD_COLUMNS} FROM threads"
            " JOIN thread_settings ON thread_settings.thread = key WHERE key = ?",
            (self._found.key,),
        ).fetchone()
        return StoredThread(metadata_in(tuple(metadata)), settings_in(settings), usage_in(usage))

    def transcript(self) -> list[StoredTurn]:
        """Return the whole transcript."""
        of_thread = (self._found.key,)
        rows = self._connection.execute(
            f"SELECT key, owner, {TURN_COLUMNS} FROM turns WHERE thread = ? ORDER BY key", of_thread
        )
        found = {key: StoredTurn(self._turn(key, owner, tuple(row))) for key, owner, *row in rows.fetchall()}
        entries = self._connection.execute(
            f"SELECT turn, {ENTRY_COLUMNS} FROM items WHERE thread = ? AND turn > 0 ORDER BY turn, key", of_thread
        )
        for turn, group in groupby(entries, key=lambda row: row[0]):
            found[turn].entries = [entry_in(row[1:]) for row in group]
        for one in found.values():
            one.turn.items = [entry.item for entry in one.entries if entry.item is not None]
        return list(found.values())

    def first_entries(self) -> list[Entry]:
        """Return the entries before the first turn: what a client has put into the history."""
        entries = f"SELECT {ENTRY_COLUMNS} FROM items WHERE thread = ? AND turn = 0 ORDER BY key"
        return [entry_in(row) for row in self._connection.execute(entries, (self._found.key,))]

    def turns(self, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
        """Return a page of turns, each with the items that a view shows at least. Raises InvalidParams."""
        return read_turns(self._connection, self._found.key, query, view, self._turn)

    def items(self, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        """Return a page of items, of one turn or of all. Raises InvalidParams."""
        return read_items(self._connection, self._found.key, query, turn_id)

    def continuation(self) -> Continuation:
        """Return what a record of this thread goes on from. Its place is Found."""
        return Continuation(load_history(self._connection, self._found.key), self._found)

    def _turn(self, key: int, owner: str | None, row: tuple[object, ...]) -> TurnRecord:
        """Read a turn; one that was cut off ended no later than its last item, as far as anybody was told."""
        turn = turn_in(row)
        if turn.id in self._ended:
            return replace(self._ended[turn.id], items=[])
        if owner in self._found.dead:
            last = "SELECT max(completed_at) FROM items WHERE thread = ? AND turn = ?"
            (at,) = self._connection.execute(last, (self._found.key, key)).fetchone()
            turn.status, turn.completed_at = "interrupted", at or turn.started_at
        return turn


def read_thread(file: ThreadsFile, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
    """Return what a query reads of a thread. Raises RequestError if it is not there, ThreadStoreError."""
    database, ended = file.database, file.writes.ended()

    def read(connection: sqlite3.Connection, dead: frozenset[str] | None) -> tuple[frozenset[str], list[T]]:
        found = _find(connection, file, thread_id, dead)
        if found.dead and dead is None:
            return found.dead, []
        return found.dead, [query(SqliteReader(connection, found, ended))]

    dead, result = database.read(partial(read, dead=None))
    if not result:
        # A process may have ended its turn after this transaction began, and itself before it was asked for. Of those
        # that are dead by now, everything that they wrote is in the next one.
        dead, result = database.read(partial(read, dead=dead))
    return result[0]


def _find(connection: sqlite3.Connection, file: ThreadsFile, thread_id: str, dead: frozenset[str] | None) -> Found:
    row = connection.execute(_FIND, (plain(thread_id),)).fetchone()
    if row is None:
        raise ThreadNotFound(thread_id)
    key, touched, running = row
    if dead is None:
        dead = frozenset(owner for owner in (running or "").split(",") if owner and not file.owners.alive(owner))
    return Found(file.database.generation, key, touched, dead)
