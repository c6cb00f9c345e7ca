"""Threads in threads.db: written as they happen, for several processes on one home.

Owns which rows make a thread. How they look is in rows.py, the pages in sqlite_pages.py, running turns in
sqlite_journal.py.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from appserver.turns.database import BUSY_SECONDS, Database
from appserver.turns.owners import Owners
from appserver.turns.past import PastTurn, history_of
from appserver.turns.rows import (
    ENTRY_COLUMNS,
    THREAD_COLUMNS,
    TURN_COLUMNS,
    dumps,
    entry_in,
    entry_row,
    facts_in,
    loads,
    thread_row,
    turn_in,
)
from appserver.turns.sqlite_journal import SqliteJournal, load_history
from appserver.turns.sqlite_pages import read_items, read_threads, read_turns
from appserver.turns.sqlite_writes import insert_thread, insert_turn, settle, touch, write_settings
from appserver.turns.store import Kept, folded, not_found, plain

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from appserver.turns.facts import ThreadFacts
    from appserver.turns.pages import Page, PageQuery, StoredItem, ThreadQuery
    from appserver.turns.state import ThreadRecord, TurnRecord
    from appserver.turns.store import Changes


_LIST = (
    "UPDATE threads SET listed = (name_folded != '' OR EXISTS (SELECT 1 FROM turns WHERE thread = threads.key))"
    " WHERE key = ?"
)


class SqliteThreads:
    """A store (`store.ThreadStore`) in the home. Opens its file when first used."""

    def __init__(self, home: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self._database = Database(home, busy_seconds)
        self._owners = Owners(home)

    def add(self, thread: ThreadRecord, past: Sequence[PastTurn] = ()) -> None:
        """Keep a new thread, with the turns of the one it was forked from, and write down what happens in it."""
        with self._database.writing() as connection:
            (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM touches").fetchone()
            key = insert_thread(connection, thread_row(thread, number, listed=bool(past or thread.name)))
            connection.execute("INSERT INTO touches (number, thread) VALUES (?, ?)", (number, key))
            write_settings(connection, key, thread.in_force())
            for one in past:
                _insert_past(connection, key, one)
        thread.history = history_of(past)
        thread.journal = SqliteJournal(self._database, self._owners, thread, key, number)

    def attach(self, thread: ThreadRecord) -> None:
        """Give a record that was made of `kept` its history, and write down what happens in it."""
        key = self._settled(thread.id)
        with self._database.reading() as connection:
            # The touch first: if somebody writes in between, the journal sees an older number and catches up.
            (touched,) = connection.execute("SELECT touched FROM threads WHERE key = ?", (key,)).fetchone()
            thread.history = load_history(connection, key)
        thread.journal = SqliteJournal(self._database, self._owners, thread, key, touched)

    def kept(self, thread_id: str) -> Kept:
        """Return what there is of a thread."""
        with self._database.reading() as connection:
            row = connection.execute(
                f"SELECT usage, in_force, {THREAD_COLUMNS} FROM threads"
                " JOIN thread_settings ON thread_settings.thread = key WHERE id = ?",
                (plain(thread_id),),
            ).fetchone()
        if row is None:
            raise not_found(thread_id)
        usage, in_force, *rest = row
        return Kept(facts_in(tuple(rest)), loads(in_force), loads(usage))

    def page(self, query: ThreadQuery) -> Page[ThreadFacts]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        with self._database.reading() as connection:
            return read_threads(connection, query)

    def past(self, thread_id: str) -> list[PastTurn]:
        """Return the whole transcript."""
        key = self._settled(thread_id)
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT key, {TURN_COLUMNS} FROM turns WHERE thread = ? ORDER BY key", (key,))
            past = {turn: PastTurn(turn_in(tuple(row))) for turn, *row in rows.fetchall()}
            entries = connection.execute(
                f"SELECT turn, {ENTRY_COLUMNS} FROM items WHERE thread = ? ORDER BY turn, key",
                (key,),
            )
            for turn, group in groupby(entries, key=lambda row: row[0]):
                if turn in past:  # a turn that began after the first statement comes with the next call
                    past[turn].entries = [entry_in(row[1:]) for row in group]
        for one in past.values():
            one.turn.items = [entry.item for entry in one.entries if entry.item is not None]
        return list(past.values())

    def turns(self, thread_id: str, query: PageQuery, *, with_items: bool) -> Page[TurnRecord]:
        """Return a page of turns. Raises InvalidParams."""
        key = self._settled(thread_id)
        with self._database.reading() as connection:
            return read_turns(connection, key, query, with_items=with_items)

    def items(self, thread_id: str, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        """Return a page of items, of one turn or of all. Raises InvalidParams."""
        key = self._settled(thread_id)
        with self._database.reading() as connection:
            return read_items(connection, key, query, turn_id)

    def change(self, thread_id: str, changes: Changes) -> None:
        """Change the metadata of a thread."""
        columns: dict[str, Any] = {}
        if changes.name is not None:
            columns |= {"name": dumps(changes.name or None), "name_folded": folded(changes.name)}
        if changes.archived is not None:
            columns["archived"] = changes.archived
        if changes.git_info is not None:
            columns["git_info"] = dumps(changes.git_info or None)
        with self._database.writing() as connection:
            key = self._key(connection, thread_id)
            touch(connection, key, columns)
            connection.execute(_LIST, (key,))

    def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM threads WHERE key = ?", (self._key(connection, thread_id),))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        self._owners.close()

    def _key(self, connection: sqlite3.Connection, thread_id: str) -> int:
        row = connection.execute("SELECT key FROM threads WHERE id = ?", (plain(thread_id),)).fetchone()
        if row is None:
            raise not_found(thread_id)
        key: int = row[0]
        return key

    def _settled(self, thread_id: str) -> int:
        """Return the key of a thread, once turns that were cut off are marked as such."""
        with self._database.reading() as connection:
            key = self._key(connection, thread_id)
            owners = connection.execute("SELECT owner FROM turns WHERE thread = ? AND owner IS NOT NULL", (key,))
            cut_off = any(not self._owners.alive(owner) for (owner,) in owners.fetchall())
        if cut_off or self._database.owed:
            with self._database.writing() as connection:
                settle(connection, self._owners, key)
        return key


def _insert_past(connection: sqlite3.Connection, thread: int, one: PastTurn) -> None:
    turn = insert_turn(connection, thread, one.turn, None)
    connection.executemany(
        f"INSERT INTO items (thread, turn, {ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        [(thread, turn, *entry_row(entry)) for entry in one.entries],
    )
