"""Records one loaded thread in a database: a write for each start of a turn, finished item and end, never a delta.

Knows what of a thread is written when, and takes over what other processes have done to it. How that is written is the
part of each database (`ThreadRows`).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from appserver.threads.stores.base import StoredThread
from appserver.threads.transcript import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item
    from protocol.thread import TokenUsage

FLUSH_SECONDS = 1.0
"""Between two tries to write the end of a turn that could not be written in time: the client has been told of it."""

UNKNOWN = -1
"""In place of the number of a thread's last touch: whatever it is, the history is read again before the next turn."""


class News(NamedTuple):
    """What other processes have done to a thread since it was loaded."""

    unknown_metadata: Mapping[str, Any]
    unknown_settings: Mapping[str, Any]
    history: list[dict[str, Any]]
    usage: TokenUsage

    def put_into(self, changed: StoredThread) -> StoredThread:
        """Return what is to be written of a thread that this process has changed, too."""
        return StoredThread(
            replace(changed.metadata, unknown=self.unknown_metadata),
            changed.settings._replace(unknown=self.unknown_settings),
            self.usage,
        )


class ThreadRows(Protocol):
    """The rows of one loaded thread, in a database that other processes use, too. Raises as a Recorder does.

    `changed`: the thread, if it is not as it was written last.
    """

    async def start_turn(self, turn: TurnRecord, entries: Sequence[Entry], changed: StoredThread | None) -> News | None:
        """Write a new turn with its first entries. Return what other processes have done before, if anything."""

    async def add_entry(self, entry: Entry, changed: StoredThread | None) -> None:
        """Write what a finished item of the turn left."""

    async def end_turn(self, turn: TurnRecord, thread: StoredThread, *, changed: bool) -> None:
        """Write how the turn ended, and what a turn changes of a thread: now, or as soon as that is possible.

        `changed`: whether its settings are not as they were written last.
        """

    @property
    def has_deferred(self) -> bool:
        """Whether there are ends of turns that could not be written in time."""

    async def write_deferred(self) -> None:
        """Try to write them."""

    async def change_settings(self, changed: StoredThread) -> None:
        """Write the settings of the thread."""

    async def inject(self, entries: Sequence[Entry]) -> News | None:
        """Write entries behind the last turn. Return what other processes have done before, if anything."""

    async def revert(self, before: str) -> News:
        """Delete a turn and all that came after it, and return what is left."""


class StoredRecorder:
    """The recorder of one loaded thread (`recorder.Recorder`)."""

    def __init__(self, thread: ThreadRecord, rows: ThreadRows) -> None:
        self._thread = thread
        self._rows = rows
        self._written = _compared(thread.metadata, thread.settings)

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        """Write a new turn with its first entries and the settings from then on, and take over what other processes
        have done to the thread. Raises RequestError.
        """
        written, changed = self._changed(metadata, settings)
        news = await self._rows.start_turn(turn, entries, changed)
        self._written = written
        self._take_over(news)

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn, and what it adds to the history; either may be missing."""
        await self._add(Entry(item, remembered, forgets=False, completed_at=time.time()))

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""
        await self._add(Entry(item, summary, forgets=True, completed_at=time.time()))

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended: now, or as soon as that is possible."""
        thread = self._thread
        changed = _compared(thread.metadata, thread.settings) != self._written
        await self._rows.end_turn(turn, StoredThread(thread.metadata, thread.settings, thread.usage), changed=changed)

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time, as soon as that is possible."""
        from anyio import sleep  # late: there may be no event loop yet

        while self._rows.has_deferred:
            await sleep(FLUSH_SECONDS)
            await self._rows.write_deferred()

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        """Write changed settings: what lists show of them is in the metadata."""
        await self._rows.change_settings(StoredThread(metadata, settings, self._thread.usage))
        self._written = _compared(metadata, settings)

    async def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history while no turn runs."""
        entries = [Entry(None, one, forgets=False, completed_at=time.time()) for one in items]
        self._take_over(await self._rows.inject(entries))

    async def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left."""
        news = await self._rows.revert(before)
        self._take_over(news)
        return news.history

    async def _add(self, entry: Entry) -> None:
        written, changed = self._changed(self._thread.metadata, self._thread.settings)
        await self._rows.add_entry(entry, changed)
        self._written = written

    def _changed(
        self, metadata: ThreadMetadata, settings: ThreadSettings
    ) -> tuple[tuple[object, ...], StoredThread | None]:
        """Return what is compared, and the thread if that differs from what was written last."""
        compared = _compared(metadata, settings)
        return compared, None if compared == self._written else StoredThread(metadata, settings, self._thread.usage)

    def _take_over(self, news: News | None) -> None:
        if news is None:
            return
        thread = self._thread
        thread.metadata = replace(thread.metadata, unknown=news.unknown_metadata)
        thread.settings = thread.settings._replace(unknown=news.unknown_settings)
        thread.history[:] = news.history
        thread.usage = news.usage


def _compared(metadata: ThreadMetadata, settings: ThreadSettings) -> tuple[object, ...]:
    """Return what is written with the next item, if it has changed."""
    return metadata.model, metadata.effort, metadata.preview, metadata.cwd, metadata.provider, settings
