"""Writes to threads.db: in order, several in one transaction, and none of them lost or made twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.errors import ThreadNotFound, ThreadStoreBusy
from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.base import Changes
from tests.threads.records import added, begin, end, items_of, locked, message, remembered, say, stored_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.stores.sqlite.store import SqliteThreads

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0
"""What a test waits at most for a thread."""


class Held:
    """Keeps the worker of a store at a read, while writes gather behind it."""

    def __init__(self, store: SqliteThreads, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self._reading, self._go_on = threading.Event(), threading.Event()

    def _query(self, _: ThreadReader) -> None:
        self._reading.set()
        self._go_on.wait(WAIT_SECONDS)

    async def gather(self, *writes: Awaitable[object]) -> list[BaseException | None]:
        """Make writes while the worker is held, then let it go on. Returns the error of each."""
        errors: list[BaseException | None] = [None] * len(writes)

        async def make(place: int, write: Awaitable[object]) -> None:
            try:
                await write
            except Exception as exc:  # noqa: BLE001 - what the test asks for
                errors[place] = exc

        async with anyio.create_task_group() as group:
            group.start_soon(self._store.read, self._thread_id, self._query)
            await anyio.to_thread.run_sync(self._reading.wait, WAIT_SECONDS)
            for place, write in enumerate(writes):
                group.start_soon(make, place, write)
            await anyio.wait_all_tasks_blocked()
            self._go_on.set()
        return errors


async def test_writes_that_gather_share_a_transaction(
    opened: Callable[..., SqliteThreads], statements: list[str]
) -> None:
    store = opened()
    records = [await added(store) for _ in range(5)]
    turns = [await begin(record) for record in records]
    statements.clear()
    errors = await Held(store, records[0].id).gather(
        *(say(record, turn, "one") for record, turn in zip(records, turns, strict=True))
    )
    assert errors == [None] * 5
    assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") - 1 == 1  # the other one ends the read
    for record, turn in zip(records, turns, strict=True):
        await end(record, turn)
        assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [message("one")]


async def test_a_write_that_fails_fails_alone(opened: Callable[..., SqliteThreads]) -> None:
    store = opened()
    first, second = await added(store), await added(store)
    errors = await Held(store, first.id).gather(
        store.change(first.id, Changes(name="first")),
        store.change("gone", Changes(name="none")),
        store.change(second.id, Changes(name="second")),
    )
    assert [type(error) for error in errors] == [type(None), ThreadNotFound, type(None)]
    assert [(await stored_thread(store, one.id)).metadata.name for one in (first, second)] == ["first", "second"]


async def test_writes_that_wait_for_a_lock_are_made_in_order_and_reads_go_on(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened()
    record = await added(store, "Hello")
    async with anyio.create_task_group() as group:
        with locked(database):
            for name in "abc":
                group.start_soon(store.change, record.id, Changes(name=name))
            await anyio.wait_all_tasks_blocked()
            assert (await stored_thread(store, record.id)).metadata.name is None
            assert len((await store.page(ThreadQuery())).rows) == 1
            group.start_soon(store.change, record.id, Changes(name="d"))
    assert (await stored_thread(store, record.id)).metadata.name == "d"


async def test_a_write_that_has_waited_in_vain_is_not_made_later(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened(busy_seconds=0.02)
    record = await added(store)
    with locked(database), pytest.raises(ThreadStoreBusy):
        await store.change(record.id, Changes(name="late"))
    await store.change(record.id, Changes(git_info={"sha": "a"}))
    assert (await stored_thread(store, record.id)).metadata.name is None


async def test_nothing_waits_after_it_was_told_to_stop(opened: Callable[..., SqliteThreads], database: Path) -> None:
    store = opened()
    record = await added(store)
    turn = await begin(record)
    errors: list[Exception] = []

    async def fail(write: Awaitable[Any]) -> None:
        try:
            await write
        except ThreadStoreBusy as exc:
            errors.append(exc)

    with locked(database), anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(fail, store.change(record.id, Changes(name="x")))
            group.start_soon(fail, record.add_item(turn, message("x"), remembered("x")))
            await anyio.wait_all_tasks_blocked()
            store.stop_waiting()
        await fail(store.delete(record.id))
    assert len(errors) == 3


async def test_a_caller_that_is_cancelled_gets_to_know_the_outcome_first(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened()
    record = await added(store)
    turn = await begin(record)
    async with anyio.create_task_group() as group:
        with locked(database):
            group.start_soon(say, record, turn, "said")
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert record.history == [remembered("said")]
    assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [message("said")]
