"""Records one loaded thread in threads.db: a transaction for each start of a turn, finished item and end.

Deltas are never written. Lives on the event loop and hands values to the worker: what is written is in history.py.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.log import warn
from appserver.threads.stores.base import StoredThread
from appserver.threads.stores.rows import changing_columns, turn_row
from appserver.threads.stores.sqlite import history
from appserver.threads.stores.sqlite.history import RecordedThread
from appserver.threads.stores.sqlite.replacement import LoadedThread
from appserver.threads.transcript import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.stores.sqlite.file import ThreadsFile
    from appserver.threads.stores.sqlite.history import News
    from appserver.threads.stores.sqlite.replacement import Keys
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item

FLUSH_SECONDS = 1.0
"""Between two tries to write the end of a turn that could not be written in time: the client has been told of it."""

UNKNOWN = -1
"""In place of the number of the last touch: whatever it is, the history is read again before the next turn."""


class SqliteRecorder:
    """The recorder of one loaded thread (`recorder.Recorder`)."""

    def __init__(self, file: ThreadsFile, thread: ThreadRecord, generation: int, key: int, touched: int) -> None:
        self.thread = thread
        self.generation = generation
        """The one of the file that the keys are good for."""
        self.recorded = RecordedThread(thread.id, key, 0, touched)
        self._file = file
        self._gave_up = False
        """Whether the running turn has waited for the database in vain."""
        self._written = _compared(thread.metadata, thread.settings)

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        """Write a new turn with its first entries and the settings from then on, and take over what other processes
        have done to the thread. Raises RequestError.
        """
        written, changed = self._changed(metadata, settings)
        start = partial(
            history.start_turn, turn=turn_row(turn), entries=entries, changed=changed, owners=self._file.owners
        )
        started = await self._file.write_rows(self, start)
        self.recorded = self.recorded._replace(turn=started.turn, touched=started.touched)
        self._written = written
        self._gave_up = False
        self._take_over(started.news)

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn, and what it adds to the history; either may be missing."""
        await self._add(Entry(item, remembered, forgets=False, completed_at=time.time()))

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""
        await self._add(Entry(item, summary, forgets=True, completed_at=time.time()))

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended: now, or with the next write of any thread."""
        columns, settings = self._changes()
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

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time, as soon as that is possible."""
        from anyio import sleep  # late: there may be no event loop yet

        while self._file.writes.has_deferred:
            await sleep(FLUSH_SECONDS)
            await self._file.write_deferred()

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        """Write changed settings: what lists show of them is in the metadata."""
        changed = StoredThread(metadata, settings, self.thread.usage)
        await self._file.write_rows(self, partial(history.change_settings, changed=changed))
        self._written = _compared(metadata, settings)

    async def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history while no turn runs."""
        entries = [Entry(None, one, forgets=False, completed_at=time.time()) for one in items]
        inject = partial(history.inject, entries=entries, owners=self._file.owners)
        touched, news = await self._file.write_rows(self, inject)
        self._touched(touched)
        self._take_over(news)

    async def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left."""
        revert = partial(history.revert, before=before, owners=self._file.owners)
        touched, news = await self._file.write_rows(self, revert)
        self._touched(touched)
        self._take_over(news)
        return news.history

    def loaded(self) -> LoadedThread:
        """Return the thread as it is in memory."""
        thread, active = self.thread, self.thread.active
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

    async def _add(self, entry: Entry) -> None:
        written, changed = self._changed(self.thread.metadata, self.thread.settings)
        try:
            await self._file.write_rows(self, partial(history.add_item, entry=entry, changed=changed))
        except ThreadStoreBusy:
            self._gave_up = True
            raise
        self._written = written

    def _changed(
        self, metadata: ThreadMetadata, settings: ThreadSettings
    ) -> tuple[tuple[object, ...], StoredThread | None]:
        """Return what is compared, and the thread if that differs from what was written last."""
        compared = _compared(metadata, settings)
        return compared, None if compared == self._written else StoredThread(metadata, settings, self.thread.usage)

    def _changes(self) -> tuple[dict[str, object], ThreadSettings | None]:
        """Return the columns of the thread that a turn may have changed, and its settings if they have changed."""
        thread = self.thread
        changed = _compared(thread.metadata, thread.settings) != self._written
        return changing_columns(thread.metadata, thread.usage), thread.settings if changed else None

    def _take_over(self, news: News | None) -> None:
        if news is None:
            return
        thread = self.thread
        thread.metadata = replace(thread.metadata, unknown=news.unknown_metadata)
        thread.settings = thread.settings._replace(unknown=news.unknown_settings)
        thread.history[:] = news.history
        thread.usage = news.usage

    def _touched(self, number: int) -> None:
        self.recorded = self.recorded._replace(touched=number)


def _compared(metadata: ThreadMetadata, settings: ThreadSettings) -> tuple[object, ...]:
    """Return what is written with the next item, if it has changed."""
    return metadata.model, metadata.effort, metadata.preview, metadata.cwd, metadata.provider, settings
