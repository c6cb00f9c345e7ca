"""Threads in threads.db: written as they happen, for several processes on one home.

Owns which rows make a thread. How they look is in rows.py, how they are read in sqlite_reader.py and sqlite_pages.py,
running turns in sqlite_journal.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadNotFound
from appserver.threads.stores.base import folded, plain
from appserver.threads.stores.sqlite.connection import BUSY_SECONDS
from appserver.threads.stores.sqlite.copies import HERE, Place, copy_turns
from appserver.threads.stores.sqlite.loaded import Loaded
from appserver.threads.stores.sqlite.queries import read_threads
from appserver.threads.stores.sqlite.reader import SqliteReader, reading
from appserver.threads.stores.sqlite.recorder import load_history
from appserver.threads.stores.sqlite.rows import dumps
from appserver.threads.stores.sqlite.writes import (
    delete_thread,
    insert_entries,
    insert_thread,
    insert_turn,
    interrupt_copied_turns,
    interrupt_dead_turns,
    last_turn,
    touch,
)
from appserver.threads.transcript import history_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import Changes
    from appserver.threads.transcript import Cut, Entry, StoredTurn

T = TypeVar("T")

_LIST = (
    "UPDATE threads SET listed = (name_folded != '' OR EXISTS (SELECT 1 FROM turns WHERE thread = threads.key))"
    " WHERE key = ?"
)


class SqliteThreads:
    """A store (`store.ThreadStore`) in the home. Opens its file when first used."""

    def __init__(self, home: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self._loaded = Loaded(home, busy_seconds)
        self._database = self._loaded.database

    def add(self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()) -> None:
        """Keep a new thread, with turns and the entries before them, and record what happens in it."""
        with self._database.writing() as connection:
            key, touched = insert_thread(connection, thread, listed=bool(transcript or thread.metadata.name))
            insert_entries(connection, key, 0, first)
            for one in transcript:
                turn = insert_turn(connection, key, one.turn, None)
                insert_entries(connection, key, turn, one.entries)
        thread.history = history_of(transcript, first)
        self._loaded.attach(thread, key, touched)

    def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and record what happens in it."""
        with self._database.writing() as connection:
            source = self._key(connection, source_id)
            interrupt_dead_turns(connection, self._loaded.owners, source)
            last = last_turn(connection, source, cut)
            key, touched = insert_thread(connection, thread, listed=True)
            copy_turns(connection, Place(HERE, source), Place(HERE, key), last)
            interrupt_copied_turns(connection, key)
            connection.execute(_LIST, (key,))
            thread.history = load_history(connection, key)
        self._loaded.attach(thread, key, touched)

    def reading(self, thread_id: str) -> AbstractContextManager[SqliteReader]:
        """Begin to read a thread. The reader is good for the length of the block, in which nothing is written."""
        return reading(self._loaded, thread_id)

    def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        with self._database.reading() as connection:
            return read_threads(connection, query)

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
            delete_thread(connection, self._key(connection, thread_id))

    def attempt(self, use: Callable[[], T]) -> T | Coroutine[Any, Any, T]:
        """Return what a use of this store returns, or a coroutine of it if it has to wait for another process."""
        return self._database.queue.attempt(use)

    def stop_waiting(self) -> None:
        """Let nothing wait for another process any longer: what does fails as busy."""
        self._database.queue.close()

    def close(self) -> None:
        """Close the file."""
        self._loaded.close()

    def _key(self, connection: sqlite3.Connection, thread_id: str) -> int:
        row = connection.execute("SELECT key FROM threads WHERE id = ?", (plain(thread_id),)).fetchone()
        if row is None:
            raise ThreadNotFound(thread_id)
        key: int = row[0]
        return key
