"""The threads of a connection: those that are loaded, and the stores behind them.

A loaded thread can run turns; one that is not can be read, listed, renamed. Ephemeral threads are kept in memory,
so a home whose database cannot be used still has those. Tells nobody: that is the handlers' part.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadNotFound, ThreadStoreError
from appserver.log import warn
from appserver.threads.record import NO_USAGE, ThreadRecord
from appserver.threads.recorder import NullRecorder
from appserver.threads.stores.base import READ_ONLY, StoredThread
from appserver.threads.transcript import Cut, cut_off, interrupted
from appserver.threads.turn_record import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from appserver.settings import Provider
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.settings import Values
    from appserver.threads.stores.base import Changes, ThreadReader, ThreadStore
    from appserver.threads.transcript import StoredTurn
    from protocol.thread import ThreadStatus

T = TypeVar("T")


class Threads:
    """Loads threads and lets go of them."""

    def __init__(self, durable: ThreadStore, provider: Callable[[str], Provider]) -> None:
        self.durable = durable
        self._provider = provider
        self._loaded: dict[str, ThreadRecord] = {}

    def add(self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = ()) -> None:
        """Keep a new thread. In a home that is read-only it becomes an ephemeral one. Raises ThreadStoreError."""
        self._keep(thread, lambda store: store.add(thread, transcript))

    def get(self, thread_id: str) -> ThreadRecord:
        """Return a loaded thread. Raises RequestError if it is not loaded."""
        found = self._loaded.get(thread_id)
        if found is None:
            raise ThreadNotFound(thread_id)
        return found

    def loaded(self) -> list[str]:
        """Return the ids of the loaded threads, the oldest first."""
        return sorted(self._loaded)

    def is_loaded(self, thread_id: str) -> bool:
        """Whether a thread is loaded."""
        return thread_id in self._loaded

    def store_of(self, thread_id: str) -> ThreadStore:
        """Return where a thread would be kept."""
        loaded = self._loaded.get(thread_id)
        return self._memory if loaded is not None and loaded.metadata.ephemeral else self.durable

    def metadata(self, thread_id: str) -> ThreadMetadata:
        """Return the metadata of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        with self.reading(thread_id) as found:
            return found.thread().metadata

    def reading(self, thread_id: str) -> AbstractContextManager[ThreadReader]:
        """Begin to read a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        return self.store_of(thread_id).reading(thread_id)

    def status(self, thread_id: str) -> ThreadStatus:
        """Return the status of a thread."""
        found = self._loaded.get(thread_id)
        return {"type": "notLoaded"} if found is None else found.status_on_wire()

    def resume(self, found: ThreadReader, values: Values) -> ThreadRecord:
        """Load a thread, with its whole history, and take over chosen values unless a turn runs in it already."""
        stored = found.thread()
        thread_id = stored.metadata.id
        thread = self._loaded.get(thread_id) or self._load(found, stored, values)
        _refresh(thread, stored.metadata)
        thread.after_turn.clear()  # it is not to be unloaded after all
        if thread.active is None:
            thread.choose(values)
        self._loaded[thread_id] = thread
        return thread

    def fork(
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
        with origin.reading(thread_id) as found:
            stored = found.thread()
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
        whole = last is None and before is None
        fresh = self._record(
            StoredThread(metadata, stored.settings, stored.usage if whole else NO_USAGE.copy()), values
        )
        fresh.choose(values)

        def copy_to(store: ThreadStore) -> None:
            if store is origin:
                store.fork(thread_id, fresh, cut)
            else:
                with origin.reading(thread_id) as found:
                    store.add(fresh, interrupted(cut_off(found.transcript(), cut)), found.first_entries())

        self._keep(fresh, copy_to)
        return fresh

    def change(self, thread_id: str, changes: Changes) -> None:
        """Change the metadata of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        self.store_of(thread_id).change(thread_id, changes)
        if thread_id in self._loaded:
            _refresh(self._loaded[thread_id], self.metadata(thread_id))

    def unload(self, thread_id: str) -> bool:
        """Let go of a thread. An ephemeral one is gone. Returns whether it was loaded."""
        loaded = self._loaded.pop(thread_id, None)
        if loaded is None:
            return False
        loaded.recorder = NullRecorder()
        if loaded.metadata.ephemeral:
            self._memory.delete(thread_id)
        return True

    def delete(self, thread_id: str) -> None:
        """Forget a thread for good. Raises RequestError, ThreadStoreError."""
        self.store_of(thread_id).delete(thread_id)
        loaded = self._loaded.pop(thread_id, None)
        if loaded is not None:
            loaded.recorder = NullRecorder()  # its turn, if one runs, has nowhere to be written to

    def attempt(self, use: Callable[[], T]) -> T | Coroutine[Any, Any, T]:
        """Return what a use of the threads returns, or a coroutine of it if it has to wait for another process.

        The use is made again from its beginning, so what it does before it has written must do no harm twice.
        """
        return self.durable.attempt(use)

    def stop_waiting(self) -> None:
        """Let nothing wait for another process any longer."""
        self.durable.stop_waiting()

    def close(self) -> None:
        """Close the stores."""
        self.durable.close()

    @cached_property
    def _memory(self) -> ThreadStore:
        """Where ephemeral threads are kept, which are all loaded."""
        from appserver.threads.stores.memory import MemoryThreads  # late: most clients have none

        return MemoryThreads()

    def _keep(self, thread: ThreadRecord, write_to: Callable[[ThreadStore], None]) -> None:
        if not thread.metadata.ephemeral:
            try:
                write_to(self.durable)
            except ThreadStoreError as exc:
                if exc.kind != READ_ONLY:
                    raise
                warn(f"{exc.message}; threads are ephemeral here")
                thread.metadata = replace(thread.metadata, ephemeral=True)
        if thread.metadata.ephemeral:
            write_to(self._memory)
        self._loaded[thread.id] = thread

    def _load(self, found: ThreadReader, stored: StoredThread, values: Values) -> ThreadRecord:
        thread = self._record(stored, values)
        found.attach(thread)
        return thread

    def _record(self, stored: StoredThread, values: Values) -> ThreadRecord:
        """Make a record of a stored thread, without its history."""
        provider = values.get("provider") or self._provider(stored.metadata.provider)
        return ThreadRecord(stored.metadata, stored.settings, provider, usage=stored.usage)


def _refresh(thread: ThreadRecord, stored: ThreadMetadata) -> None:
    """Take over what another process may have changed. Turns that it has run are taken over by the recorder."""
    thread.metadata = replace(thread.metadata, name=stored.name, git_info=stored.git_info)
