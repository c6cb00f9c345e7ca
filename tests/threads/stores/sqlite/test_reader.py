"""Reading a thread: everything as of one moment, in few statements, and nothing is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.sqlite.leases import Owners
from tests.threads.records import added, begin, end, loaded, locked, run, say, thread, transcript_of, turns_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.stores.sqlite.store import SqliteThreads

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0
"""What a test waits at most for a thread."""


async def test_a_thread_of_any_length_is_read_in_few_statements(
    opened: Callable[..., SqliteThreads], statements: list[str]
) -> None:
    store = opened()
    record = await added(store, "Hello", "one")
    for number in range(30):
        await run(record, f"{number}", "and more")
    statements.clear()

    def query(found: ThreadReader) -> None:
        found.thread()
        assert len(found.transcript()) == 31
        found.continuation()
        found.turns(PageQuery(limit=30), "full")
        found.items(PageQuery(limit=30))

    await store.read(record.id, query)
    assert len(statements) <= 10


async def test_reading_writes_nothing(opened: Callable[..., SqliteThreads], statements: list[str]) -> None:
    record = thread()
    died, other = opened(), opened()
    await died.add(record)
    await say(record, await begin(record), "one")
    await died.close()
    await other.page(ThreadQuery())
    for _ in range(2):
        statements.clear()
        assert (await turns_of(other, record.id, PageQuery())).rows[0].status == "interrupted"
        assert {one.split()[0] for one in statements} == {"BEGIN", "SELECT", "COMMIT"}


async def test_a_turn_that_ended_with_its_process_while_it_was_read_is_not_taken_for_cut_off(
    opened: Callable[..., SqliteThreads], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, theirs, alive = thread(), opened(), Owners.alive
    await theirs.add(record)
    turn = await begin(record)

    loop = asyncio.get_running_loop()

    async def ends() -> None:
        await end(record, turn)
        await theirs.close()

    def ends_when_asked_for(owners: Owners, token: str) -> bool:
        asyncio.run_coroutine_threadsafe(ends(), loop).result(WAIT_SECONDS)
        return alive(owners, token)

    monkeypatch.setattr(Owners, "alive", ends_when_asked_for)
    assert [one.turn.status for one in await transcript_of(opened(), record.id)] == ["completed"]


async def test_the_end_of_a_turn_that_is_not_written_yet_is_seen_all_the_same(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened(busy_seconds=0.01)
    record = thread()
    await store.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    with locked(database):
        turn.end("completed", None)
        await record.end_turn(turn)
    (found,) = await transcript_of(store, record.id)
    assert (found.turn.viewed("full"), (await loaded(store, record.id)).history) == (
        turn.viewed("full"),
        record.history,
    )
