"""Threads of one user of the gateway, in its database: every node on it has them (`threads.stores.base.ThreadStore`).

Owns which rows make a thread. How they look is in threads/stores/rows.py, how they are read in reader.py and
queries.py; running turns are written by a recorder (threads/stores/recorder.py, thread_rows.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from anyio import to_thread

from appserver.errors import ThreadNotFound
from appserver.gateway.database.threads.queries import THREAD, read_threads
from appserver.gateway.database.threads.reader import HISTORY, history_in, read_thread
from appserver.gateway.database.threads.schema import Key, here, threads
from appserver.gateway.database.threads.thread_rows import SqlThreadRows
from appserver.gateway.database.threads.transactions import Transactions
from appserver.gateway.database.threads.writes import (
    LIST,
    copy_turns,
    insert_entries,
    insert_thread,
    insert_turn,
    last_turn,
    lock_thread,
    next_touch,
    touch,
)
from appserver.threads.stores.base import StoredThread, plain
from appserver.threads.stores.recorder import StoredRecorder
from appserver.threads.stores.rows import changed_columns, metadata_in
from appserver.threads.transcript import history_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.gateway.database.node import Node
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import Changes, Continuation, ThreadReader
    from appserver.threads.stores.rows import Row
    from appserver.threads.transcript import Cut, Entry, StoredTurn

T = TypeVar("T")


class SqlThreads:
    """One user's."""

    def __init__(self, node: Node, user_id: str) -> None:
        self._node = node
        self._user_id = user_id
        self._transactions = Transactions(node.database.functions)

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        """Keep a new thread, with turns and the entries before them, and record what happens in it."""
        key, stored = self._key(thread.id), _stored(thread)

        def add(connection: sa.Connection) -> int:
            touched, listed = next_touch(connection, key), bool(transcript or thread.metadata.name)
            insert_thread(connection, key, stored, touched, len(transcript), listed=listed)
            insert_entries(connection, key, 0, first)
            for number, one in enumerate(transcript, 1):
                insert_turn(connection, key, number, one.turn)
                insert_entries(connection, key, number, one.entries)
            return touched

        touched = await self._transactions.write(add)
        self._record(thread, touched, history_of(transcript, first))

    async def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and record what happens in it."""
        source, key, stored = self._key(source_id), self._key(thread.id), _stored(thread)

        def copy(connection: sa.Connection) -> tuple[int, list[Row]]:
            touched, locked = next_touch(connection, key), lock_thread(connection, self._node, source)
            last = last_turn(connection, source, cut)
            insert_thread(connection, key, stored, touched, locked.turns, listed=True)
            copy_turns(connection, source, key, last)
            connection.execute(LIST, key.at)
            return touched, [tuple(row) for row in connection.execute(HISTORY, key.at)]

        touched, history = await self._transactions.write(copy)
        self._record(thread, touched, await to_thread.run_sync(history_in, history))

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        """Return what a query reads of a thread, all of it as of one moment. The reader is good for this call."""
        key, ended = self._key(thread_id), self._transactions.ended()
        with self._node.turns_meanwhile() as turns:
            runs = partial(self._node.has, turns=turns)
            return await self._transactions.read(partial(read_thread, key=key, query=query, runs=runs, ended=ended))

    def attach(self, thread: ThreadRecord, continuation: Continuation) -> None:
        """Give a record of a stored thread its history, and record what happens in it from now on."""
        assert isinstance(continuation.place, int)  # noqa: S101 - this store has made it
        self._record(thread, continuation.place, continuation.history)

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        read = partial(read_threads, user_id=self._user_id, query=query)
        return await self._transactions.read(read)

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        """Change the metadata of a thread, and return all of it."""
        key, columns = self._key(thread_id), changed_columns(changes)

        def change(connection: sa.Connection) -> ThreadMetadata:
            touched, _ = next_touch(connection, key), lock_thread(connection, self._node, key)
            touch(connection, key, touched, columns)
            return metadata_in(tuple(connection.execute(LIST.returning(*THREAD), key.at).one()))

        return await self._transactions.write(change)

    async def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""
        key = self._key(thread_id)

        def delete(connection: sa.Connection) -> None:
            if not connection.execute(sa.delete(threads).where(here(threads)), key.at).rowcount:
                raise ThreadNotFound(thread_id)

        await self._transactions.write(delete)

    def stop_waiting(self) -> None:
        """Let no call wait for another node any longer: one that does fails as busy."""
        self._transactions.stop_waiting()

    async def close(self) -> None:
        """Try a last time to write the ends of turns."""
        await self._transactions.close()

    def _key(self, thread_id: str) -> Key:
        return Key(self._user_id, plain(thread_id))

    def _record(self, thread: ThreadRecord, touched: int, history: list[dict[str, object]]) -> None:
        thread.history = history
        rows = SqlThreadRows(self._node, self._transactions, self._key(thread.id), touched)
        thread.recorder = StoredRecorder(thread, rows)


def _stored(thread: ThreadRecord) -> StoredThread:
    return StoredThread(thread.metadata, thread.settings, thread.usage)
