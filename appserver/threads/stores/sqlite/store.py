"""Threads in threads.db: written as they happen, for several processes on one home.

Owns which rows make a thread. How they look is in stores/rows.py, how they are read in reader.py and queries.py;
running turns are written by a recorder (stores/recorder.py, thread_rows.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadNotFound
from appserver.threads.stores.base import StoredThread, plain
from appserver.threads.stores.recorder import StoredRecorder
from appserver.threads.stores.rows import THREAD_COLUMNS, changed_columns, metadata_in, turn_row
from appserver.threads.stores.sqlite.copies import HERE, Place, copy_turns
from appserver.threads.stores.sqlite.file import BUSY_SECONDS, ThreadsFile
from appserver.threads.stores.sqlite.history import load_history
from appserver.threads.stores.sqlite.queries import read_threads
from appserver.threads.stores.sqlite.reader import Found, read_thread
from appserver.threads.stores.sqlite.thread_rows import SqliteThreadRows
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
    from collections.abc import Callable, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import Changes, Continuation, ThreadReader
    from appserver.threads.stores.sqlite.connection import Database
    from appserver.threads.transcript import Cut, Entry, StoredTurn

T = TypeVar("T")

_LIST = (
    "UPDATE threads SET listed = (name_folded != '' OR EXISTS (SELECT 1 FROM turns WHERE thread = threads.key))"
    " WHERE key = ?"
)


class SqliteThreads:
    """A store (`stores.base.ThreadStore`) in the home. Opens its file when first used."""

    def __init__(self, home: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self._file = ThreadsFile(home, busy_seconds)

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        """Keep a new thread, with turns and the entries before them, and record what happens in it."""
        database = self._file.database
        add = partial(_add, database=database, thread=_stored(thread), transcript=transcript, first=first)
        self._record(thread, await self._file.write(add), history_of(transcript, first))

    async def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and record what happens in it."""
        fork = partial(_fork, file=self._file, source_id=source_id, thread=_stored(thread), cut=cut)
        added, history = await self._file.write(fork)
        self._record(thread, added, history)

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        """Return what a query reads of a thread, all of it as of one moment. The reader is good for this call."""
        return await self._file.read(partial(read_thread, self._file, thread_id, query))

    def attach(self, thread: ThreadRecord, continuation: Continuation) -> None:
        """Give a record of a stored thread its history, and record what happens in it from now on."""
        assert isinstance(continuation.place, Found)  # noqa: S101 - this store has made it
        self._record(thread, continuation.place, continuation.history)

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        return await self._file.read(partial(self._file.database.read, partial(read_threads, query=query)))

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        """Change the metadata of a thread, and return all of it."""
        return await self._file.write(partial(_change, thread_id=thread_id, columns=changed_columns(changes)))

    async def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""
        await self._file.write(partial(_delete, thread_id=thread_id))

    def stop_waiting(self) -> None:
        """Let no call wait for another process any longer: one that does fails as busy."""
        self._file.stop_waiting()

    async def close(self) -> None:
        """Close the file."""
        await self._file.close()

    def _record(self, thread: ThreadRecord, found: Found, history: list[dict[str, Any]]) -> None:
        thread.history = history
        rows = SqliteThreadRows(self._file, thread, found.generation, found.key, found.touched)
        thread.recorder = StoredRecorder(thread, rows)
        self._file.attach(rows)


def _stored(thread: ThreadRecord) -> StoredThread:
    return StoredThread(thread.metadata, thread.settings, thread.usage)


# In the worker


def _add(
    connection: sqlite3.Connection,
    database: Database,
    thread: StoredThread,
    transcript: Sequence[StoredTurn],
    first: Sequence[Entry],
) -> Found:
    key, touched = insert_thread(connection, thread, listed=bool(transcript or thread.metadata.name))
    insert_entries(connection, key, 0, first)
    for one in transcript:
        turn = insert_turn(connection, key, turn_row(one.turn), None)
        insert_entries(connection, key, turn, one.entries)
    return Found(database.generation, key, touched)


def _fork(
    connection: sqlite3.Connection, file: ThreadsFile, source_id: str, thread: StoredThread, cut: Cut
) -> tuple[Found, list[dict[str, Any]]]:
    """Copy the turns of a thread, and return the new one with its history."""
    source = _key(connection, source_id)
    interrupt_dead_turns(connection, file.owners, source)
    last = last_turn(connection, source, cut)
    key, touched = insert_thread(connection, thread, listed=True)
    copy_turns(connection, Place(HERE, source), Place(HERE, key), last)
    interrupt_copied_turns(connection, key)
    connection.execute(_LIST, (key,))
    return Found(file.database.generation, key, touched), load_history(connection, key)


def _change(connection: sqlite3.Connection, thread_id: str, columns: dict[str, Any]) -> ThreadMetadata:
    key = _key(connection, thread_id)
    touch(connection, key, columns)
    connection.execute(_LIST, (key,))
    row = connection.execute(f"SELECT {THREAD_COLUMNS} FROM threads WHERE key = ?", (key,)).fetchone()
    return metadata_in(row)


def _delete(connection: sqlite3.Connection, thread_id: str) -> None:
    delete_thread(connection, _key(connection, thread_id))


def _key(connection: sqlite3.Connection, thread_id: str) -> int:
    row = connection.execute("SELECT key FROM threads WHERE id = ?", (plain(thread_id),)).fetchone()
    if row is None:
        raise ThreadNotFound(thread_id)
    key: int = row[0]
    return key
