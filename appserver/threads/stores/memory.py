"""Threads that live as long as the process: ephemeral ones. Also the yardstick that the SQLite store is held against.

Keeps everything in plain lists, and counts touches.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadNotFound
from appserver.threads.paging import NOW, Cursor, StoredItem, check_beginning, decode, horizon, no_anchor, page_of
from appserver.threads.recorder import NoJournal
from appserver.threads.stores.base import Kept, folded
from appserver.threads.transcript import Cut, Entry, PastTurn, cut_off, history_of, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appserver.threads.metadata import ThreadFacts
    from appserver.threads.paging import Page, PageQuery, Position, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import Changes
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item
    from protocol.turn import ItemsView

T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    thread: ThreadRecord
    past: list[PastTurn] = field(default_factory=list)
    before: list[Entry] = field(default_factory=list)
    touches: deque[int] = field(default_factory=deque)
    archived: bool = False

    def touched(self, as_of: int) -> int | None:
        return max((number for number in self.touches if number <= as_of), default=None)

    def facts(self) -> ThreadFacts:
        return replace(self.thread.facts(), archived=self.archived)


class MemoryThreads:
    """A store (`store.ThreadStore`) without a file."""

    def __init__(self) -> None:
        self._threads: dict[str, _Kept] = {}
        self._touches = 0

    def add(self, thread: ThreadRecord, past: Sequence[PastTurn] = (), before: Sequence[Entry] = ()) -> None:
        """Keep a new thread, with turns and what stands before them, and write down what happens in it."""
        kept = self._threads[thread.id] = _Kept(thread, _copies(past), list(before))
        self.touch(kept)
        thread.history = history_of(kept.past, kept.before)
        thread.journal = _MemoryJournal(self, kept)

    def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and write down what happens in it."""
        source = self._find(source_id)
        self.add(thread, interrupted(_copies(cut_off(source.past, cut))), source.before)

    @contextmanager
    def reading(self, thread_id: str) -> Iterator[_MemoryReader]:
        """Begin to read a thread. The reader is good for the length of the block, in which nothing is written."""
        yield _MemoryReader(self, self._find(thread_id))

    def page(self, query: ThreadQuery) -> Page[ThreadFacts]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""
        cursor = decode(query.sort_key, query.cursor)
        as_of = self._touches
        if query.sort_key == "updated_at" and cursor is not None and cursor.position[0] != NOW:
            as_of = int(cursor.position[0])
            check_beginning(as_of, self._touches)
        found: list[tuple[Position, ThreadFacts]] = []
        for kept in self._threads.values():
            facts, touched = kept.facts(), kept.touched(as_of)
            if touched is not None and _listed(kept) and _wanted(facts, query):
                by_creation = query.sort_key == "created_at"
                found.append(((facts.created_at, facts.id) if by_creation else (as_of, touched), facts))
        if cursor is not None and query.sort_key == "updated_at":
            cursor = cursor._replace(position=(as_of, *cursor.position[1:]))
        return _page(query.sort_key, found, query, cursor)

    def change(self, thread_id: str, changes: Changes) -> None:
        """Change the metadata of a thread."""
        kept = self._find(thread_id)
        if changes.name is not None:
            kept.thread.name = changes.name or None
        if changes.archived is not None:
            kept.archived = changes.archived
        if changes.git_info is not None:
            kept.thread.git_info = changes.git_info or None
        kept.thread.updated_at = time.time()
        self.touch(kept)

    def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""
        self._find(thread_id)
        del self._threads[thread_id]

    def attempt(self, use: Callable[[], T]) -> T:
        """Return what a use of this store returns: none has to wait."""
        return use()

    def stop_waiting(self) -> None:
        """Let nothing wait any longer: nothing does."""

    def close(self) -> None:
        """Let go of what is open: nothing is."""

    def touch(self, kept: _Kept) -> None:
        """Note that something happened in a thread, and forget what happened so long ago that no page needs it."""
        self._touches += 1
        kept.touches.append(self._touches)
        while len(kept.touches) > 1 and kept.touches[1] <= horizon(self._touches):
            kept.touches.popleft()

    def _find(self, thread_id: str) -> _Kept:
        kept = self._threads.get(thread_id)
        if kept is None:
            raise ThreadNotFound(thread_id)
        return kept


class _MemoryReader:
    def __init__(self, store: MemoryThreads, kept: _Kept) -> None:
        self._store = store
        self._kept = kept

    def kept(self) -> Kept:
        return Kept(self._kept.facts(), self._kept.thread.in_force(), self._kept.thread.usage.copy())

    def past(self) -> list[PastTurn]:
        return _copies(self._kept.past)

    def before(self) -> list[Entry]:
        return list(self._kept.before)

    def turns(self, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
        found: list[tuple[Position, TurnRecord]] = [
            ((place,), replace(one.turn, items=[] if view == "notLoaded" else list(one.turn.items)))
            for place, one in enumerate(self._kept.past)
        ]
        return _page("turns", found, query, decode("turns", query.cursor))

    def items(self, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        found: list[tuple[Position, StoredItem]] = [
            ((turn_place, place), StoredItem(one.turn.id, entry.item, entry.completed_at))
            for turn_place, one in enumerate(self._kept.past)
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

    def attach(self, thread: ThreadRecord) -> None:
        self._kept.thread = thread
        thread.history = history_of(self._kept.past, self._kept.before)
        thread.journal = _MemoryJournal(self._store, self._kept)


class _MemoryJournal(NoJournal):
    def __init__(self, store: MemoryThreads, kept: _Kept) -> None:
        self._store = store
        self._kept = kept

    def turn_started(self, turn: TurnRecord) -> None:
        self._kept.past.append(PastTurn(turn))
        self._store.touch(self._kept)

    async def kept(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        self._kept.past[-1].entries.append(Entry(item, remembered, forgets=False, completed_at=time.time()))

    async def replaced(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        self._kept.past[-1].entries.append(Entry(item, summary, forgets=True, completed_at=time.time()))

    async def turn_ended(self, turn: TurnRecord) -> None:
        self._store.touch(self._kept)

    def injected(self, items: list[dict[str, Any]]) -> None:
        last = self._kept.past[-1].entries if self._kept.past else self._kept.before
        last.extend(Entry(None, one, forgets=False, completed_at=time.time()) for one in items)
        self._store.touch(self._kept)

    def reverted(self, before: str) -> list[dict[str, Any]]:
        self._kept.past = cut_off(self._kept.past, Cut(before=before))
        self._store.touch(self._kept)
        return history_of(self._kept.past, self._kept.before)

    def changed(self) -> None:
        pass  # the record is what is kept


def _copies(past: Sequence[PastTurn]) -> list[PastTurn]:
    """Copy what may change: of a turn, not its items, which are finished."""
    return [PastTurn(replace(one.turn, items=list(one.turn.items)), list(one.entries)) for one in past]


def _listed(kept: _Kept) -> bool:
    return bool(kept.past) or kept.thread.name is not None


def _wanted(facts: ThreadFacts, query: ThreadQuery) -> bool:
    sought = folded(query.search)
    return (
        facts.archived == query.archived
        and (query.cwds is None or facts.cwd in query.cwds)
        and facts.id not in query.excluded
        and (query.providers is None or facts.provider in query.providers)
        and (sought in folded(facts.name) or sought in folded(facts.preview))
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
