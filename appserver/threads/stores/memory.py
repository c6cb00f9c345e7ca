"""Threads that live as long as the process: ephemeral ones. The tests compare the SQLite store with this one.

Keeps everything in plain lists, and counts touches.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadNotFound
from appserver.threads.paging import NOW, Cursor, StoredItem, check_beginning, decode, horizon, no_anchor, page_of
from appserver.threads.recorder import NullRecorder
from appserver.threads.stores.base import Continuation, StoredThread, folded
from appserver.threads.transcript import Cut, Entry, StoredTurn, cut_off, history_of, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, PageQuery, Position, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.stores.base import Changes, ThreadReader
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item
    from protocol.turn import ItemsView

T = TypeVar("T")


@dataclass(slots=True)
class _Stored:
    thread: ThreadRecord
    transcript: list[StoredTurn] = field(default_factory=list)
    first: list[Entry] = field(default_factory=list)
    touches: deque[int] = field(default_factory=deque)
    archived: bool = False

    def touched(self, as_of: int) -> int | None:
        return max((number for number in self.touches if number <= as_of), default=None)

    def metadata(self) -> ThreadMetadata:
        return replace(self.thread.metadata, archived=self.archived)


class MemoryThreads:
    """A store (`store.ThreadStore`) without a file."""

    def __init__(self) -> None:
        self._threads: dict[str, _Stored] = {}
        self._touches = 0

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        """Keep a new thread, with turns and the entries before them, and record what happens in it."""
        stored = self._threads[thread.id] = _Stored(thread, _copies(transcript), list(first))
        self.touch(stored)
        thread.history = history_of(stored.transcript, stored.first)
        thread.recorder = _MemoryRecorder(self, stored)

    async def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and record what happens in it."""
        source = self._find(source_id)
        await self.add(thread, interrupted(_copies(cut_off(source.transcript, cut))), source.first)

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        """Return what a query reads of a thread, all of it as of one moment. The reader is good for this call."""
        return query(_MemoryReader(self._find(thread_id)))

    def attach(self, thread: ThreadRecord, continuation: Continuation) -> None:
        """Give a record of a stored thread its history, and record what happens in it from now on."""
        stored = self._find(thread.id)
        stored.thread = thread
        thread.history = continuation.history
        thread.recorder = _MemoryRecorder(self, stored)

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        cursor = decode(query.sort_key, query.cursor)
        as_of = self._touches
        if query.sort_key == "updated_at" and cursor is not None and cursor.position[0] != NOW:
            as_of = int(cursor.position[0])
            check_beginning(as_of, self._touches)
        found: list[tuple[Position, ThreadMetadata]] = []
        for stored in self._threads.values():
            metadata, touched = stored.metadata(), stored.touched(as_of)
            if touched is not None and _listed(stored) and _wanted(metadata, query):
                by_creation = query.sort_key == "created_at"
                found.append(((metadata.created_at, metadata.id) if by_creation else (as_of, touched), metadata))
        if cursor is not None and query.sort_key == "updated_at":
            cursor = cursor._replace(position=(as_of, *cursor.position[1:]))
        return _page(query.sort_key, found, query, cursor)

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        """Change the metadata of a thread, and return all of it."""
        stored = self._find(thread_id)
        metadata = replace(stored.thread.metadata, updated_at=time.time())
        if changes.name is not None:
            metadata = replace(metadata, name=changes.name or None)
        if changes.archived is not None:
            stored.archived = changes.archived
        if changes.git_info is not None:
            metadata = replace(metadata, git_info=changes.git_info or None)
        stored.thread.metadata = metadata
        self.touch(stored)
        return stored.metadata()

    async def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""
        self._find(thread_id)
        del self._threads[thread_id]

    def discard(self, thread_id: str) -> None:
        """Forget a thread that is not to be found again."""
        self._threads.pop(thread_id, None)

    def stop_waiting(self) -> None:
        """Let no call wait any longer: none does."""

    async def close(self) -> None:
        """Close what is open: nothing is."""

    def touch(self, stored: _Stored) -> None:
        """Note that something happened in a thread, and forget what happened so long ago that no page needs it."""
        self._touches += 1
        stored.touches.append(self._touches)
        while len(stored.touches) > 1 and stored.touches[1] <= horizon(self._touches):
            stored.touches.popleft()

    def _find(self, thread_id: str) -> _Stored:
        stored = self._threads.get(thread_id)
        if stored is None:
            raise ThreadNotFound(thread_id)
        return stored


class _MemoryReader:
    def __init__(self, stored: _Stored) -> None:
        self._stored = stored

    def thread(self) -> StoredThread:
        thread = self._stored.thread
        return StoredThread(self._stored.metadata(), thread.settings, thread.usage.copy())

    def transcript(self) -> list[StoredTurn]:
        return _copies(self._stored.transcript)

    def first_entries(self) -> list[Entry]:
        return list(self._stored.first)

    def turns(self, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
        found: list[tuple[Position, TurnRecord]] = [
            ((place,), replace(one.turn, items=[] if view == "notLoaded" else list(one.turn.items)))
            for place, one in enumerate(self._stored.transcript)
        ]
        return _page("turns", found, query, decode("turns", query.cursor))

    def items(self, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        found: list[tuple[Position, StoredItem]] = [
            ((turn_place, place), StoredItem(one.turn.id, entry.item, entry.completed_at))
            for turn_place, one in enumerate(self._stored.transcript)
            for place, entry in enumerate(one.entries)
            if entry.item is not None and turn_id in (None, one.turn.id)
        ]
        cursor = decode("items", query.cursor)
        if query.anchor is not None:
            places = [place for place, one in found if turn_id and one.item.get("id") == query.anchor]
            if not places:
                raise no_anchor()
            cursor = Cursor(places[0])
        return _page("items", found, query, cursor)

    def continuation(self) -> Continuation:
        return Continuation(history_of(self._stored.transcript, self._stored.first), None)


class _MemoryRecorder(NullRecorder):
    def __init__(self, store: MemoryThreads, stored: _Stored) -> None:
        self._store = store
        self._stored = stored

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        self._stored.transcript.append(StoredTurn(turn, list(entries)))
        self._store.touch(self._stored)

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        self._stored.transcript[-1].entries.append(Entry(item, remembered, forgets=False, completed_at=time.time()))

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        self._stored.transcript[-1].entries.append(Entry(item, summary, forgets=True, completed_at=time.time()))

    async def end_turn(self, turn: TurnRecord) -> None:
        self._store.touch(self._stored)

    async def inject(self, items: list[dict[str, Any]]) -> None:
        last = self._stored.transcript[-1].entries if self._stored.transcript else self._stored.first
        last.extend(Entry(None, one, forgets=False, completed_at=time.time()) for one in items)
        self._store.touch(self._stored)

    async def revert(self, before: str) -> list[dict[str, Any]]:
        self._stored.transcript = cut_off(self._stored.transcript, Cut(before=before))
        self._store.touch(self._stored)
        return history_of(self._stored.transcript, self._stored.first)

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        pass  # the record is what is stored


def _copies(transcript: Sequence[StoredTurn]) -> list[StoredTurn]:
    """Copy what may change: of a turn, not its items, which are finished."""
    return [StoredTurn(replace(one.turn, items=list(one.turn.items)), list(one.entries)) for one in transcript]


def _listed(stored: _Stored) -> bool:
    return bool(stored.transcript) or stored.thread.metadata.name is not None


def _wanted(metadata: ThreadMetadata, query: ThreadQuery) -> bool:
    sought = folded(query.search)
    return (
        metadata.archived == query.archived
        and (query.cwds is None or metadata.cwd in query.cwds)
        and metadata.id not in query.excluded
        and (query.providers is None or metadata.provider in query.providers)
        and (sought in folded(metadata.name) or sought in folded(metadata.preview))
    )


def _page(
    kind: str, found: list[tuple[Position, Any]], query: PageQuery | ThreadQuery, cursor: Cursor | None
) -> Page[Any]:
    found.sort(key=lambda one: one[0], reverse=query.descending)
    if cursor is not None:
        found = [one for one in found if _follows(one[0], cursor, descending=query.descending)]
    return page_of(kind, found, query.limit)


def _follows(position: Position, cursor: Cursor, *, descending: bool) -> bool:
    if position == cursor.position:
        return cursor.inclusive
    return (position < cursor.position) is descending
