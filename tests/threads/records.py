"""Threads and turns for tests of the stores."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from appserver.settings import Provider
from appserver.threads.metadata import ThreadMetadata
from appserver.threads.record import ThreadRecord
from appserver.threads.settings import ThreadSettings
from appserver.threads.turn_record import TurnRecord, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.threads.paging import Page, PageQuery, StoredItem
    from appserver.threads.stores.base import Continuation, StoredThread, ThreadReader, ThreadStore
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


async def begin(record: ThreadRecord) -> TurnRecord:
    turn = TurnRecord([])
    await record.start_turn(turn)
    turn.begin()
    return turn


async def say(record: ThreadRecord, turn: TurnRecord, *texts: str) -> None:
    for text in texts:
        await record.add_item(turn, message(text), remembered(text))


async def end(record: ThreadRecord, turn: TurnRecord, status: TurnStatus = "completed") -> TurnRecord:
    turn.end(status, None)
    await record.end_turn(turn)
    return turn


async def run(record: ThreadRecord, *texts: str) -> TurnRecord:
    """Run a turn in which this is said."""
    turn = await begin(record)
    await say(record, turn, *texts)
    return await end(record, turn)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep a database locked for writers, as another process that writes for long."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


async def added(store: ThreadStore, preview: str = "", *texts: str, **members: object) -> ThreadRecord:
    """Add a thread with one turn."""
    record = thread(preview, **members)
    await store.add(record)
    await run(record, *texts)
    return record


async def loaded(store: ThreadStore, thread_id: str) -> ThreadRecord:
    """Load a thread as another process would."""

    def query(found: ThreadReader) -> tuple[StoredThread, Continuation]:
        return found.thread(), found.continuation()

    stored, continuation = await store.read(thread_id, query)
    record = ThreadRecord(stored.metadata, stored.settings, FAKE, usage=stored.usage)
    store.attach(record, continuation)
    return record


async def stored_thread(store: ThreadStore, thread_id: str) -> StoredThread:
    return await store.read(thread_id, lambda found: found.thread())


async def transcript_of(store: ThreadStore, thread_id: str) -> list[StoredTurn]:
    return await store.read(thread_id, lambda found: found.transcript())


async def turns_of(
    store: ThreadStore, thread_id: str, query: PageQuery, view: ItemsView = "notLoaded"
) -> Page[TurnRecord]:
    return await store.read(thread_id, lambda found: found.turns(query, view))


async def items_of(
    store: ThreadStore, thread_id: str, query: PageQuery, turn_id: str | None = None
) -> Page[StoredItem]:
    return await store.read(thread_id, lambda found: found.items(query, turn_id))
