"""A store that answers late, as one in a database on another machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from anyio import sleep

from appserver.threads.stores.memory import MemoryThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.recorder import Recorder
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.stores.base import Changes, Continuation, ThreadReader
    from appserver.threads.transcript import Cut, Entry, StoredTurn
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item

T = TypeVar("T")

SECONDS = 0.05
"""What a call takes: half of it before it takes effect, half of it before the caller knows."""


async def half() -> None:
    await sleep(SECONDS / 2)


class SlowThreads:
    """Keeps threads in memory, and takes its time."""

    def __init__(self) -> None:
        self._threads = MemoryThreads()

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        await half()
        await self._threads.add(thread, transcript, first)
        thread.recorder = SlowRecorder(thread.recorder)
        await half()

    async def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        await half()
        await self._threads.fork(source_id, thread, cut)
        thread.recorder = SlowRecorder(thread.recorder)
        await half()

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        await half()
        found = await self._threads.read(thread_id, query)
        await half()
        return found

    def attach(self, thread: ThreadRecord, continuation: Continuation) -> None:
        self._threads.attach(thread, continuation)
        thread.recorder = SlowRecorder(thread.recorder)

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        await half()
        page = await self._threads.page(query)
        await half()
        return page

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        await half()
        metadata = await self._threads.change(thread_id, changes)
        await half()
        return metadata

    async def delete(self, thread_id: str) -> None:
        await half()
        await self._threads.delete(thread_id)
        await half()

    def stop_waiting(self) -> None:
        pass

    async def close(self) -> None:
        await self._threads.close()


class SlowRecorder:
    """Records a thread of such a store."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        await half()
        await self._recorder.start_turn(turn, entries, metadata, settings)
        await half()

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        await half()
        await self._recorder.add_item(turn, item, remembered)
        await half()

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        await half()
        await self._recorder.replace_history(turn, item, summary)
        await half()

    async def end_turn(self, turn: TurnRecord) -> None:
        await half()
        await self._recorder.end_turn(turn)
        await half()

    async def flush(self) -> None:
        await self._recorder.flush()

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        await half()
        await self._recorder.change_settings(metadata, settings)
        await half()

    async def inject(self, items: list[dict[str, Any]]) -> None:
        await half()
        await self._recorder.inject(items)
        await half()

    async def revert(self, before: str) -> list[dict[str, Any]]:
        await half()
        history = await self._recorder.revert(before)
        await half()
        return history
