"""Writes one thread's turns to threads.db as they happen: a transaction for each start, finished item and end.

Deltas are never written. Before a turn it takes over what another process may have done to the thread since.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.errors import RequestError, ThreadNotFound, ThreadStoreBusy, ThreadStoreError
from appserver.log import warn
from appserver.threads.stores.base import UNAVAILABLE
from appserver.threads.stores.sqlite.connection import Database, UnwrittenEnd
from appserver.threads.stores.sqlite.rows import (
    THREAD_COLUMNS,
    Row,
    changing_columns,
    entry_row,
    metadata_in,
    remembered_in,
    settings_in,
    turn_row,
    usage_in,
)
from appserver.threads.stores.sqlite.writes import (
    delete_turns_after,
    insert_entries,
    insert_turn,
    interrupt_dead_turns,
    last_turn,
    touch,
    update_thread,
    write_settings,
)
from appserver.threads.transcript import Cut, Entry

if TYPE_CHECKING:
    import sqlite3

    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.sqlite.leases import Owners
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item

_INSERT_ITEM = (
    "INSERT INTO items (thread, turn, item, remembered, forgets, completed_at)"
    " SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM threads WHERE key = ?)"
)
_END_TURN = (
    "UPDATE turns SET id = ?, status = ?, error = ?, started_at = ?, completed_at = ?, duration_ms = ?, owner = NULL"
    " WHERE key = ?"
)
_CAUGHT_UP = (
    f"SELECT touched, usage, settings, {THREAD_COLUMNS} FROM threads"
    " JOIN thread_settings ON thread_settings.thread = key WHERE key = ?"
)
# Only what the model was told since it last forgot: a thread that was compacted loads no more than that.
_HISTORY = (
    "SELECT item, remembered FROM items WHERE thread = :thread AND remembered IS NOT NULL AND key >="
    " coalesce((SELECT max(key) FROM items WHERE thread = :thread AND forgets), 0) ORDER BY turn, key"
)

FLUSH_SECONDS = 1.0
"""Between two tries to write the end of a turn that could not be written in time: the client has been told of it."""

UNKNOWN = -1
"""In place of the number of the last touch: whatever it is, the history is read again before the next turn."""


class SqliteRecorder:
    """The recorder of one loaded thread (`recorder.Recorder`)."""

    def __init__(self, database: Database, owners: Owners, thread: ThreadRecord, key: int, touched: int) -> None:
        self.thread = thread
        self.key = key
        self.turn = 0
        """The keys of the thread and of its last turn here, 0: it has had none. Good within a transaction: the file may
        have been replaced before it began."""
        self._database = database
        self._owners = owners
        self._touched = touched
        self._gave_up = False
        """Whether the running turn has waited for the database in vain."""
        self._written = _compared(thread)

    def start_turn(self, turn: TurnRecord) -> None:
        """Note a new turn. Raises RequestError if another process runs one, ThreadStoreError."""
        owner = self._own_name()
        with self._database.writing() as connection:
            self._catch_up(connection)
            touched = touch(connection, self.key, {"listed": 1})
            self.turn = insert_turn(connection, self.key, turn, owner)
        self._touched, self._gave_up = touched, False

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Note a finished item of a turn, and what it adds to the history; either may be missing."""
        await self._insert(Entry(item, remembered, forgets=False, completed_at=time.time()))

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Note an item in whose place the history so far was replaced by a summary."""
        await self._insert(Entry(item, summary, forgets=True, completed_at=time.time()))

    async def end_turn(self, turn: TurnRecord) -> None:
        """Note how a turn ended: now, or with the next write of any thread."""
        end = UnwrittenEnd(turn, partial(self._write_end, turn))
        write = partial(self._write, end)
        try:
            if self._gave_up:  # it has been waited for already
                write()
            else:
                await self._database.queue.apply(write)
        except ThreadStoreError as exc:
            self._database.unwritten[self.turn] = end
            warn(f"the end of a turn could not be written yet: {exc.message}")

    async def flush(self) -> None:
        """Write what could not be written when a turn ended, as soon as it is possible."""
        from anyio import sleep  # late: there may be no event loop yet

        while self._database.unwritten:
            await sleep(FLUSH_SECONDS)
            with suppress(ThreadStoreError), self._database.writing():
                pass

    def inject(self, items: list[dict[str, Any]]) -> None:
        """Note input items that a client has added to the history while no turn runs."""
        added = [Entry(None, one, forgets=False, completed_at=time.time()) for one in items]
        with self._database.writing() as connection:
            self._catch_up(connection)
            last = connection.execute("SELECT coalesce(max(key), 0) FROM turns WHERE thread = ?", (self.key,))
            insert_entries(connection, self.key, last.fetchone()[0], added)
            touched = touch(connection, self.key)
        self._touched = touched

    def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left."""
        with self._database.writing() as connection:
            self._catch_up(connection)
            delete_turns_after(connection, self.key, last_turn(connection, self.key, Cut(before=before)))
            history = load_history(connection, self.key)
            touched = touch(connection, self.key)
        self._touched = touched
        return history

    def change_settings(self) -> None:
        """Write the settings of the thread. Raises ThreadStoreError, ThreadStoreBusy where it would wait."""
        written = _compared(self.thread)
        with self._database.writing() as connection:
            if not connection.execute("SELECT 1 FROM threads WHERE key = ?", (self.key,)).fetchone():
                raise ThreadNotFound(self.thread.id)
            update_thread(connection, self.key, changing_columns(self.thread.metadata, self.thread.usage))
            write_settings(connection, self.key, self.thread.settings)
        self._written = written

    def _write(self, end: UnwrittenEnd) -> None:
        with self._database.writing() as connection:
            end.write(connection)

    def _write_end(self, turn: TurnRecord, connection: sqlite3.Connection) -> None:
        connection.execute(_END_TURN, (*turn_row(turn), self.turn))
        touched = touch(connection, self.key, changing_columns(self.thread.metadata, self.thread.usage))
        self._touched = UNKNOWN if self._touched == UNKNOWN else touched
        if _compared(self.thread) != self._written:
            write_settings(connection, self.key, self.thread.settings)

    def moved(self, key: int, turn: int) -> None:
        """Go on in another file, where the thread and its turn have these keys."""
        self.key, self.turn, self._touched = key, turn, UNKNOWN

    async def _insert(self, entry: Entry) -> None:
        try:
            inserted = await self._database.queue.apply(partial(self._insert_now, entry_row(entry)))
        except ThreadStoreBusy:
            self._gave_up = True
            raise
        if not inserted:
            raise ThreadNotFound(self.thread.id)  # it has been deleted meanwhile

    def _insert_now(self, row: Row) -> int:
        written = _compared(self.thread)
        if written == self._written:
            with self._database.statement() as connection:
                return connection.execute(_INSERT_ITEM, (self.key, self.turn, *row, self.key)).rowcount
        with self._database.writing() as connection:
            inserted = connection.execute(_INSERT_ITEM, (self.key, self.turn, *row, self.key)).rowcount
            update_thread(connection, self.key, changing_columns(self.thread.metadata, self.thread.usage))
            write_settings(connection, self.key, self.thread.settings)
        self._written = written
        return inserted

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        """Take over what others did to the thread, unless one of them is at it."""
        row = connection.execute(_CAUGHT_UP, (self.key,)).fetchone()
        if row is None:
            raise ThreadNotFound(self.thread.id)
        running = interrupt_dead_turns(connection, self._owners, self.key)
        if running is not None:
            data = {"kind": "threadBusy", "activeTurnId": running}
            raise RequestError(f"turn {running} is active in this thread, in another process", data)
        if row[0] == self._touched:
            return
        self.thread.metadata = replace(self.thread.metadata, unknown=metadata_in(row[3:]).unknown)
        self.thread.settings = self.thread.settings._replace(unknown=settings_in(row[2]).unknown)
        self.thread.history[:] = load_history(connection, self.key)
        self.thread.usage = usage_in(row[1])

    def _own_name(self) -> str:
        try:
            return self._owners.mine()
        except OSError as exc:
            message = f"{self._database.path}: no lock file can be made beside it: {exc.strerror}"
            raise ThreadStoreError(message, UNAVAILABLE) from None


def load_history(connection: sqlite3.Connection, thread: int) -> list[dict[str, Any]]:
    """Return the input items that the next request begins with."""
    found = (remembered_in(*row) for row in connection.execute(_HISTORY, {"thread": thread}))
    return [one for one in found if one is not None]


def _compared(thread: ThreadRecord) -> tuple[object, ...]:
    metadata = thread.metadata
    return metadata.model, metadata.effort, metadata.preview, metadata.cwd, metadata.provider, thread.settings
