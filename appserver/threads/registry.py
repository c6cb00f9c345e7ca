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
from appserver.threads.record import IN_FORCE, NO_USAGE, ThreadRecord, unknown_settings
from appserver.threads.recorder import NoJournal
from appserver.threads.stores.base import READ_ONLY
from appserver.threads.transcript import Cut, cut_off, interrupted
from appserver.threads.turn_record import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractContextManager

    from appserver.settings import Provider
    from appserver.threads.in_force import Values
    from appserver.threads.metadata import ThreadFacts
    from appserver.threads.stores.base import Changes, Kept, ThreadReader, ThreadStore
    from appserver.threads.transcript import PastTurn
    from protocol.thread import ThreadStatus, TokenUsage

T = TypeVar("T")


class Threads:
    """Loads threads and lets go of them."""

    def __init__(self, durable: ThreadStore, provider: Callable[[str], Provider]) -> None:
        self.durable = durable
        self._provider = provider
        self._loaded: dict[str, ThreadRecord] = {}

    def add(self, thread: ThreadRecord, past: list[PastTurn] | None = None) -> None:
        """Keep a new thread. In a home that is read-only it becomes an ephemeral one. Raises ThreadStoreError."""
        self._keep(thread, lambda store: store.add(thread, past or ()))

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
        return self._memory if loaded is not None and loaded.ephemeral else self.durable

    def facts(self, thread_id: str) -> ThreadFacts:
        """Return what is known of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        with self.reading(thread_id) as found:
            return found.kept().facts

    def reading(self, thread_id: str) -> AbstractContextManager[ThreadReader]:
        """Begin to read a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        return self.store_of(thread_id).reading(thread_id)

    def status(self, thread_id: str) -> ThreadStatus:
        """Return the status of a thread."""
        found = self._loaded.get(thread_id)
        return {"type": "notLoaded"} if found is None else found.status_on_wire()

    def resume(self, found: ThreadReader, values: Values) -> ThreadRecord:
        """Load a thread, with its whole history, and put values in force unless a turn runs in it already."""
        kept = found.kept()
        thread_id = kept.facts.id
        thread = self._loaded.get(thread_id) or self._load(found, kept, values)
        _refresh(thread, kept.facts)
        thread.after_turn.clear()  # somebody was about to let go of it
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
            kept = found.kept()
        provider = values.get("provider") or self._provider(kept.facts.provider)
        thread = revived(kept.facts, kept.in_force, NO_USAGE.copy(), provider)
        fresh = replace(
            thread, id=new_id(), ephemeral=ephemeral, forked_from=thread_id, journal=NoJournal(), after_turn=[]
        )
        fresh.thread_source = source
        fresh.created_at = fresh.updated_at = time.time()
        if last is None and before is None:
            fresh.usage = kept.usage.copy()
        fresh.choose(values)

        def copy_to(store: ThreadStore) -> None:
            if store is origin:
                store.fork(thread_id, fresh, cut)
            else:
                with origin.reading(thread_id) as found:
                    store.add(fresh, interrupted(cut_off(found.past(), cut)), found.before())

        self._keep(fresh, copy_to)
        return fresh

    def change(self, thread_id: str, changes: Changes) -> None:
        """Change the metadata of a thread, loaded or not. Raises RequestError, ThreadStoreError."""
        self.store_of(thread_id).change(thread_id, changes)
        if thread_id in self._loaded:
            _refresh(self._loaded[thread_id], self.facts(thread_id))

    def unload(self, thread_id: str) -> bool:
        """Let go of a thread. An ephemeral one is gone. Returns whether it was loaded."""
        loaded = self._loaded.pop(thread_id, None)
        if loaded is None:
            return False
        loaded.journal = NoJournal()
        if loaded.ephemeral:
            self._memory.delete(thread_id)
        return True

    def delete(self, thread_id: str) -> None:
        """Forget a thread for good. Raises RequestError, ThreadStoreError."""
        self.store_of(thread_id).delete(thread_id)
        loaded = self._loaded.pop(thread_id, None)
        if loaded is not None:
            loaded.journal = NoJournal()  # its turn, if one runs, has nowhere to be written to

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
        if not thread.ephemeral:
            try:
                write_to(self.durable)
            except ThreadStoreError as exc:
                if exc.kind != READ_ONLY:
                    raise
                warn(f"{exc.message}; threads are ephemeral here")
                thread.ephemeral = True
        if thread.ephemeral:
            write_to(self._memory)
        self._loaded[thread.id] = thread

    def _load(self, found: ThreadReader, kept: Kept, values: Values) -> ThreadRecord:
        provider = values.get("provider") or self._provider(kept.facts.provider)
        thread = revived(kept.facts, kept.in_force, kept.usage, provider)
        found.attach(thread)
        return thread


def revived(facts: ThreadFacts, in_force: dict[str, Any], usage: TokenUsage, provider: Provider) -> ThreadRecord:
    """Make a record of what was written down of a thread, without its history."""
    known = {name: value for name, value in in_force.items() if name in IN_FORCE}
    thread = ThreadRecord(
        provider=provider,
        model=facts.model,
        cwd=facts.cwd,
        originator=facts.originator,
        version=facts.version,
        effort=facts.effort,
        id=facts.id,
        created_at=facts.created_at,
        updated_at=facts.updated_at,
        preview=facts.preview,
        name=facts.name,
        forked_from=facts.forked_from,
        thread_source=facts.thread_source,
        git_info=facts.git_info,
        ephemeral=facts.ephemeral,
        **{"instructions": "", **known},
    )
    thread.usage = usage
    thread.unknown_facts, thread.unknown_settings = facts.unknown, unknown_settings(in_force)
    return thread


def _refresh(thread: ThreadRecord, facts: ThreadFacts) -> None:
    """Take over what may have been changed elsewhere. Turns that were run elsewhere, the journal takes over."""
    thread.name, thread.git_info = facts.name, facts.git_info
