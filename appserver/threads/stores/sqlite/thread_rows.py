"""The rows of one loaded thread in threads.db, as its recorder writes them: a transaction each time.

Lives on the event loop and hands values to the worker: what is written is in history.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.log import warn
from appserver.threads.stores.base import StoredThread
from appserver.threads.stores.recorder import UNKNOWN
from appserver.threads.stores.rows import changing_columns, turn_row
from appserver.threads.stores.sqlite import history
from appserver.threads.stores.sqlite.history import RecordedThread
from appserver.threads.stores.sqlite.replacement import LoadedThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.recorder import News
    from appserver.threads.stores.sqlite.file import ThreadsFile
    from appserver.threads.stores.sqlite.replacement import Keys
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord


class SqliteThreadRows:
    """Those of one loaded thread (`stores.recorder.ThreadRows`)."""

    def __init__(self, file: ThreadsFile, thread: ThreadRecord, generation: int, key: int, touched: int) -> None:
        self.generation = generation
        """The one of the file that the keys are good for."""
        self.recorded = RecordedThread(thread.id, key, 0, touched)
        self._file = file
        self._thread = thread
        self._gave_up = False
        """Whether the running turn has waited for the database in vain."""

    async def start_turn(self, turn: TurnRecord, entries: Sequence[Entry], changed: StoredThread | None) -> News | None:
        """Write a new turn with its first entries. Return what other processes have done before, if anything."""
        start = partial(
            history.start_turn, turn=turn_row(turn), entries=entries, changed=changed, owners=self._file.owners
        )
        started = await self._file.write_rows(self, start)
        self.recorded = self.recorded._replace(turn=started.turn, touched=started.touched)
        self._gave_up = False
        return started.news

    async def add_entry(self, entry: Entry, changed: StoredThread | None) -> None:
        """Write what a finished item of the turn left."""
        try:
            await self._file.write_rows(self, partial(history.add_item, entry=entry, changed=changed))
        except ThreadStoreBusy:
            self._gave_up = True
            raise

    async def end_turn(self, turn: TurnRecord, thread: StoredThread, *, changed: bool) -> None:
        """Write how the turn ended: now, or with the next write of any thread."""
        columns, settings = changing_columns(thread.metadata, thread.usage), thread.settings if changed else None
        end = partial(history.end_turn, ended=turn_row(turn), columns=columns, settings=settings)
        try:
            touched = await self._file.write_rows(self, end, patient=not self._gave_up)
        except ThreadStoreError as exc:
            deferred = partial(end, thread=self.recorded)
            self._file.writes.defer(deferred, self.generation, replace(turn, items=[]))
            self._touched(UNKNOWN)
            warn(f"the end of a turn could not be written yet: {exc.message}")
        else:
            self._touched(UNKNOWN if self.recorded.touched == UNKNOWN else touched)

    @property
    def has_deferred(self) -> bool:
        """Whether there are ends of turns that could not be written in time."""
        return self._file.writes.has_deferred

    async def write_deferred(self) -> None:
        """Try to write them."""
        await self._file.write_deferred()

    async def change_settings(self, changed: StoredThread) -> None:
        """Write the settings of the thread."""
        await self._file.write_rows(self, partial(history.change_settings, changed=changed))

    async def inject(self, entries: Sequence[Entry]) -> News | None:
        """Write entries behind the last turn. Return what other processes have done before, if anything."""
        inject = partial(history.inject, entries=entries, owners=self._file.owners)
        touched, news = await self._file.write_rows(self, inject)
        self._touched(touched)
        return news

    async def revert(self, before: str) -> News:
        """Delete a turn and all that came after it, and return what is left."""
        revert = partial(history.revert, before=before, owners=self._file.owners)
        touched, news = await self._file.write_rows(self, revert)
        self._touched(touched)
        return news

    def loaded(self) -> LoadedThread:
        """Return the thread as it is in memory."""
        thread, active = self._thread, self._thread.active
        return LoadedThread(
            self.recorded.key,
            StoredThread(thread.metadata, thread.settings, thread.usage),
            list(thread.history),
            None if active is None else replace(active, items=list(active.items)),
        )

    def move(self, generation: int, keys: Keys) -> None:
        """Go on in another file, where the thread and its turn have these keys."""
        self.generation = generation
        self.recorded = self.recorded._replace(key=keys.thread, turn=keys.turn, touched=UNKNOWN)

    def _touched(self, number: int) -> None:
        self.recorded = self.recorded._replace(touched=number)
