"""Threads and turns for tests of the stores."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.settings import Provider
from appserver.threads.metadata import ThreadMetadata
from appserver.threads.record import ThreadRecord
from appserver.threads.settings import ThreadSettings
from appserver.threads.turn_record import TurnRecord, new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

    from appserver.threads.paging import Page, PageQuery, StoredItem
    from appserver.threads.stores.base import StoredThread, ThreadStore
    from appserver.threads.transcript import StoredTurn
    from protocol.item import AgentMessageItem
    from protocol.turn import ItemsView, TurnStatus

FAKE = Provider("fake", "Fake", "http://fake.example/v1")


def thread(preview: str = "", **members: Any) -> ThreadRecord:  # noqa: ANN401 - members of its metadata or its settings
    settings = {name: members.pop(name) for name in ThreadSettings._fields if name in members}
    now = time.time()
    metadata: dict[str, Any] = {
        "id": new_id(),
        "created_at": now,
        "updated_at": now,
        "provider": FAKE.id,
        "model": "fake-model",
        "effort": None,
        "cwd": "/work",
        "originator": "tests",
        "version": "1",
        "preview": preview,
        **members,
    }
    return ThreadRecord(ThreadMetadata(**metadata), ThreadSettings(**{"instructions": "Be brief.", **settings}), FAKE)


def message(text: str) -> AgentMessageItem:
    return {"type": "agentMessage", "id": f"msg-{text}", "text": text, "phase": None}


def remembered(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def at_once(writing: Awaitable[None]) -> None:
    """Let something be written, without an event loop: nothing keeps the database locked."""
    for _ in writing.__await__():
        raise AssertionError("it waits")


def begin(record: ThreadRecord) -> TurnRecord:
    turn = TurnRecord([])
    record.start_turn(turn)
    turn.begin()
    return turn


def say(record: ThreadRecord, turn: TurnRecord, *texts: str) -> None:
    for text in texts:
        at_once(record.add_item(turn, message(text), remembered(text)))


def end(record: ThreadRecord, turn: TurnRecord, status: TurnStatus = "completed") -> TurnRecord:
    turn.end(status, None)
    at_once(record.end_turn(turn))
    return turn


def run(record: ThreadRecord, *texts: str) -> TurnRecord:
    """Run a turn in which this is said."""
    turn = begin(record)
    say(record, turn, *texts)
    return end(record, turn)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep a database locked for writers, as another process that writes for long."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


def added(store: ThreadStore, preview: str = "", *texts: str, **members: object) -> ThreadRecord:
    """Add a thread with one turn."""
    record = thread(preview, **members)
    store.add(record)
    run(record, *texts)
    return record


async def added_beside_others(store: ThreadStore, preview: str, *texts: str) -> ThreadRecord:
    """Add a thread with one turn, as a process that shares the store with others."""
    record, turn = thread(preview), TurnRecord([])
    for use in (partial(store.add, record), partial(record.start_turn, turn)):
        outcome = store.attempt(use)
        if outcome is not None:
            await outcome
    turn.begin()
    for text in texts:
        await record.add_item(turn, message(text), remembered(text))
    turn.end("completed", None)
    await record.end_turn(turn)
    return record


def loaded(store: ThreadStore, thread_id: str) -> ThreadRecord:
    """Load a thread as another process would."""
    with store.reading(thread_id) as found:
        stored = found.thread()
        record = ThreadRecord(stored.metadata, stored.settings, FAKE, usage=stored.usage)
        found.attach(record)
    return record


def stored_thread(store: ThreadStore, thread_id: str) -> StoredThread:
    with store.reading(thread_id) as found:
        return found.thread()


def transcript_of(store: ThreadStore, thread_id: str) -> list[StoredTurn]:
    with store.reading(thread_id) as found:
        return found.transcript()


def turns_of(store: ThreadStore, thread_id: str, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
    with store.reading(thread_id) as found:
        return found.turns(query, view)


def items_of(store: ThreadStore, thread_id: str, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
    with store.reading(thread_id) as found:
        return found.items(query, turn_id)
