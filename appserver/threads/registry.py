"""The threads of a workspace: those that are loaded, and the stores behind them.

A loaded thread can run turns; one that is not can be read, listed, renamed. Ephemeral threads are kept in memory,
so a home whose database cannot be used still has those. Notifies no client: that is the handlers' part.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from appserver.errors import ThreadNotFound, ThreadStoreError
from appserver.log import warn
from appserver.threads.record import NO_USAGE, ThreadRecord
from appserver.threads.recorder import NullRecorder, whole
from appserver.threads.stores.base import READ_ONLY, StoredThread
from appserver.threads.transcript import Cut, cut_off, interrupted
from appserver.threads.turn_record import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from anyio import Lock

    from appserver.settings import Provider
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, ThreadQuery
    from appserver.threads.settings import Values
    from appserver.threads.stores.base import Changes, Continuation, ThreadReader, ThreadStore
    from appserver.threads.stores.memory import MemoryThreads
    from appserver.threads.transcript import Entry, StoredTurn
    from protocol.thread import ThreadStatus

T = TypeVar("T")

CATCH_UP_SECONDS = 1.0
"""What a request that reads waits for the changes that were requested before it. They take a few milliseconds; what
takes longer waits for another process, and reads go on meanwhile."""


class Threads:
    """Loads threads and lets go of them.

    Requests that change a thread hold its `order`, and call the methods here within; those that read wait for the
    changes that were requested before them.
    """

    def __init__(self, durable: ThreadStore, provider: Callable[[str], Provider]) -> None:
        self._durable = durable
        self._provider = provider
        self._loaded: dict[str, ThreadRecord] = {}
        self._orders: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        """By thread, while they are used."""

    # Loaded threads

    def get(self, thread_id: str) -> ThreadRecord:
        """Return a loaded thread. Raises RequestError if it is not loaded."""
        found = self._loaded.get(thread_id)
        if found is None:
            raise ThreadNotFound(thread_id)
        return found

    async def loaded(self) -> list[str]:
        """Return the ids of the loaded threads, the oldest first."""
        await self._catch_up(self._orders.values())
        return sorted(self._loaded)

    @property
    def loaded_count(self) -> int:
        """How many threads are loaded."""
        return len(self._loaded)

    def is_loaded(self, thread_id: str) -> bool:
        """Whether a thread is loaded."""
        return thread_id in self._loaded

    def status(self, thread_id: str) -> ThreadStatus:
        """Return the status of a thread."""
        found = self._loaded.get(thread_id)
        return {"type": "notLoaded"} if found is None else found.status_on_wire()

    # Changes

    def order(self, thread_id: str) -> Lock:
        """Return what a request holds while it changes a thread.

        A change awaits the store, so another one could come in between; the lock is passed on in the order of requests.
        """
        found = self._orders.get(thread_id)
        if found is None:
            from anyio import Lock  # late: with the event loop

            found = self._orders[thread_id] = Lock(fast_acquire=True)
        return found

    async def add(self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = ()) -> None:
        """Keep a new thread. In a home that is read-only it becomes an ephemeral one. Raises ThreadStoreError."""
        await self._keep(thread, lambda store: store.add(thread, transcript))

    async def resume(
        self, thread_id: str, values: Values, query: Callable[[ThreadReader], T]
    ) -> tuple[ThreadRecord, T]:
        """Load a thread, with its whole history, and take over chosen values unless a turn runs in it already.

        Returns what a query reads of the thread, too. Raises RequestError, ThreadStoreError.
        """
        store, loaded = self.store_of(thread_id), self._loaded.get(thread_id)

        def read(found: ThreadReader) -> tuple[StoredThread, Continuation | None, T]:
            return found.thread(), found.continuation() if loaded is None else None, query(found)

        stored, continuation, result = await store.read(thread_id, read)
        if loaded is not None and thread_id not in self._loaded:  # its last turn has ended meanwhile
            return await self.resume(thread_id, values, query)
        thread = loaded or self._record(stored, values)
        if continuation is not None:
            store.attach(thread, continuation)
        _refresh(thread, stored.metadata)
        thread.after_turn.clear()  # it is not to be unloaded after all
        if thread.active is None:
            thread.choose(values)
        self._loaded[thread_id] = thread
        return thread, result

    async def fork(
        self,
        thread_id: str,
        values: Values,
        *,
        ephemeral: bool,
        last: str | None,
        before: str | None,
        source: str | None = None,
    ) -> ThreadRecord:
        """Make a new thread of the turns of another, up to a turn if one is named. Raises RequestError.

        A turn that is running is copied as far as it has come, as an interrupted one.
        """
        origin, cut = self.store_of(thread_id), Cut(last, before)
        stored = await self.read(thread_id, _thread)
        now = time.time()
        metadata = replace(
            stored.metadata,
            id=new_id(),
            created_at=now,
            updated_at=now,
            forked_from=thread_id,
            thread_source=source,
            ephemeral=ephemeral,
            archived=False,
        )
        usage = stored.usage if last is None and before is None else NO_USAGE.copy()
        fresh = self._record(StoredThread(metadata, stored.settings, usage), values)
        fresh.choose(values)

        async def copy_to(store: ThreadStore) -> None:
            if store is origin:
                await store.fork(thread_id, fresh, cut)
            else:
                transcript, first = await origin.read(thread_id, _whole_transcript)
                await store.add(fresh, interrupted(cut_off(transcript, cut)), first)

        await self._keep(fresh, copy_to)
        return fresh

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        """Change the metadata of a thread, loaded or not, and return it. Raises RequestError, ThreadStoreError."""
        metadata = await whole(self.store_of(thread_id).change(thread_id, changes))
        if thread_id in self._loaded:
            _refresh(self._loaded[thread_id], metadata)
        return metadata

    def unload(self, thread_id: str) -> None:
        """Let go of a loaded thread in which no turn runs. An ephemeral one is gone."""
        loaded = self._loaded.pop(thread_id)
        loaded.recorder = NullRecorder()
        if loaded.metadata.ephemeral:
            self._memory.discard(thread_id)

    async def delete(self, thread_id: str) -> None:
        """Forget a thread for good. Raises RequestError, ThreadStoreError."""
        await whole(self.store_of(thread_id).delete(thread_id))
        loaded = self._loaded.pop(thread_id, None)
        if loaded is not None:
            loaded.recorder = NullRecorder()  # its turn, if one runs, has nowhere to be written to

    # Reading

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        """Return what a query reads of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        await self._catch_up([self.order(thread_id)])
        return await self.store_of(thread_id).read(thread_id, query)

    async def metadata(self, thread_id: str) -> ThreadMetadata:
        """Return the metadata of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        return (await self.store_of(thread_id).read(thread_id, _thread)).metadata

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of the threads that are not ephemeral. Raises InvalidParams, ThreadStoreError."""
        await self._catch_up(self._orders.values())
        return await self._durable.page(query)

    def store_of(self, thread_id: str) -> ThreadStore:
        """Return where a thread would be kept."""
        loaded = self._loaded.get(thread_id)
        return self._memory if loaded is not None and loaded.metadata.ephemeral else self._durable

    # The end

    def stop_waiting(self) -> None:
        """Let nothing wait for another process any longer."""
        self._durable.stop_waiting()

    async def close(self) -> None:
        """Close the stores."""
        await self._durable.close()

    @cached_property
    def _memory(self) -> MemoryThreads:
        """Where ephemeral threads are kept, which are all loaded."""
        from appserver.threads.stores.memory import MemoryThreads  # late: most clients have none

        return MemoryThreads()

    async def _catch_up(self, orders: Iterable[Lock]) -> None:
        """Wait for the changes that were requested before, of the threads with these orders."""
        from anyio import move_on_after

        if pending := [order for order in orders if order.locked()]:
            with move_on_after(CATCH_UP_SECONDS):
                for order in pending:
                    async with order:
                        pass

    async def _keep(self, thread: ThreadRecord, write_to: Callable[[ThreadStore], Awaitable[None]]) -> None:
        async with self.order(thread.id):
            await whole(self._write_and_load(thread, write_to))

    async def _write_and_load(self, thread: ThreadRecord, write_to: Callable[[ThreadStore], Awaitable[None]]) -> None:
        if not thread.metadata.ephemeral:
            try:
                await write_to(self._durable)
            except ThreadStoreError as exc:
                if exc.kind != READ_ONLY:
                    raise
                warn(f"{exc.message}; threads are ephemeral here")
                thread.metadata = replace(thread.metadata, ephemeral=True)
        if thread.metadata.ephemeral:
            await write_to(self._memory)
        self._loaded[thread.id] = thread

    def _record(self, stored: StoredThread, values: Values) -> ThreadRecord:
        """Make a record of a stored thread, without its history."""
        provider = values.get("provider") or self._provider(stored.metadata.provider)
        return ThreadRecord(stored.metadata, stored.settings, provider, usage=stored.usage)


def _thread(found: ThreadReader) -> StoredThread:
    return found.thread()


def _whole_transcript(found: ThreadReader) -> tuple[list[StoredTurn], list[Entry]]:
    return found.transcript(), found.first_entries()


def _refresh(thread: ThreadRecord, stored: ThreadMetadata) -> None:
    """Take over what another process may have changed. Turns that it has run are taken over by the recorder."""
    thread.metadata = replace(thread.metadata, name=stored.name, git_info=stored.git_info)
