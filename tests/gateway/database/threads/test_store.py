"""What only the store of threads in the gateway's database has to do, beside what the kits of all stores ask of it."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
import sqlalchemy as sa
from anyio import from_thread

from appserver.errors import ThreadNotFound, ThreadStoreBusy, ThreadStoreError
from appserver.gateway.database.schema import users
from appserver.gateway.database.threads import transactions
from appserver.gateway.database.threads.schema import Key, items, threads, touches, turns
from appserver.gateway.database.threads.store import SqlThreads
from appserver.gateway.database.threads.writes import next_touch, touch
from appserver.threads import paging
from appserver.threads.paging import PRUNING_STEP, PageQuery, ThreadQuery
from appserver.threads.stores.base import Changes
from appserver.threads.transcript import Cut
from tests.threads.records import (
    added,
    begin,
    end,
    items_of,
    loaded,
    message,
    remembered,
    run,
    say,
    stored_thread,
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from appserver.gateway.database.engine import Database
    from appserver.gateway.database.functions import Parameters, Query, Row, Rows
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import ThreadStore
    from appserver.threads.turn_record import TurnRecord
    from tests.threads.stores.sharing import Nodes

    Impatient = Callable[[], AbstractContextManager[None]]

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """Have nothing wait for long for the length of a block."""

    @contextmanager
    def patched() -> Iterator[None]:
        with monkeypatch.context() as within:
            within.setattr(transactions, "BUSY_SECONDS", 0.2)
            yield

    return patched


@asynccontextmanager
async def locked(database: Database, record: ThreadRecord) -> AsyncIterator[None]:
    """Keep a thread locked, as another node does that hangs in a transaction."""
    async with database.writing() as connection:
        await connection.execute(sa.select(threads.c.id).where(threads.c.id == record.id).with_for_update())
        yield


async def statuses(store: ThreadStore, thread_id: str) -> list[str]:
    return [one.turn.status for one in await transcript_of(store, thread_id)]


# Users


async def test_a_thread_of_another_user_is_none_whatever_is_asked(nodes: Nodes) -> None:
    theirs = await added(await nodes.open(), "Hello", "one")
    mine = SqlThreads(nodes.first, await nodes.add_user())
    for asked in (
        stored_thread(mine, theirs.id),
        transcript_of(mine, theirs.id),
        turns_of(mine, theirs.id, PageQuery(), "full"),
        items_of(mine, theirs.id, PageQuery()),
        loaded(mine, theirs.id),
        mine.change(theirs.id, Changes(name="Mine")),
        mine.delete(theirs.id),
        mine.fork(theirs.id, thread(), Cut()),
    ):
        with pytest.raises(ThreadNotFound):
            await asked
    assert (await mine.page(ThreadQuery())).rows == []
    assert (await mine.page(ThreadQuery(sort_key="updated_at"))).rows == []


async def test_users_may_have_threads_of_one_id(nodes: Nodes) -> None:
    stores = [SqlThreads(nodes.first, await nodes.add_user()) for _ in range(2)]
    for text, store in zip("ab", stores, strict=True):
        record = await added(store, text, text, id="same")
        await record.inject([remembered(f"more of {text}")])
    await stores[0].change("same", Changes(name="Named"))
    (turn,) = await transcript_of(stores[0], "same")
    await (await loaded(stores[0], "same")).revert(turn.turn.id)
    found = await loaded(stores[1], "same")
    assert (found.metadata.name, found.history) == (None, [remembered("b"), remembered("more of b")])
    await stores[1].delete("same")
    assert (await stored_thread(stores[0], "same")).metadata.name == "Named"


async def test_with_a_user_go_their_threads(nodes: Nodes) -> None:
    store = await nodes.open()
    record = await added(store, "Hello", "one")
    async with nodes.first.database.writing() as connection:
        await connection.execute(sa.delete(users).where(users.c.id == nodes.user_id))
        for table in (threads, turns, items, touches):
            of_user = sa.select(sa.func.count()).select_from(table).where(table.c.user_id == nodes.user_id)
            assert (await connection.execute(of_user)).scalar_one() == 0
    for change in (begin(record), store.add(thread()), record.change_settings({"model": "other"})):
        with pytest.raises(ThreadNotFound):
            await change


# Order


async def test_no_touch_is_committed_before_one_with_a_lower_number(nodes: Nodes, impatient: Impatient) -> None:
    store, other = await nodes.open(), await nodes.open()
    first, second = await added(store), await added(store)
    async with nodes.first.database.writing() as connection:
        key = Key(nodes.user_id, first.id)
        await connection.run_sync(lambda begun: touch(begun, key, next_touch(begun, key)))
        with impatient(), pytest.raises(ThreadStoreBusy):
            await other.change(second.id, Changes(name="x"))
    assert (await other.page(ThreadQuery(sort_key="updated_at"))).rows[0].id == first.id


async def test_touches_do_not_grow_without_end(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "TOUCHES_KEPT", 20)
    store = await nodes.open()
    records = [await added(store) for _ in range(3)]
    for number in range(PRUNING_STEP):
        await store.change(records[number % 2].id, Changes(name=f"{number}"))
    async with nodes.first.database.reading() as connection:
        count = sa.select(sa.func.count()).select_from(touches).where(touches.c.user_id == nodes.user_id)
        assert (await connection.execute(count)).scalar_one() < 20 + PRUNING_STEP / 2
    found = await store.page(ThreadQuery(sort_key="updated_at"))
    assert {one.id for one in found.rows} == {one.id for one in records}


async def test_the_place_of_a_turn_that_was_taken_out_is_given_to_no_other(nodes: Nodes) -> None:
    store = await nodes.open()
    record = await added(store, "Hello", "one")
    second = await run(record, "two")
    behind = (await turns_of(store, record.id, PageQuery(limit=1, descending=False))).next
    last = await turns_of(store, record.id, PageQuery(cursor=behind, descending=False))
    assert [turn.id for turn in last.rows] == [second.id]
    await record.revert(second.id)
    third = await run(record, "three")
    for cursor in (behind, last.back):
        page = await turns_of(store, record.id, PageQuery(cursor=cursor, descending=False))
        assert [turn.id for turn in page.rows] == [third.id]
    before = await turns_of(store, record.id, PageQuery(cursor=last.back))
    assert third.id not in [turn.id for turn in before.rows]


# A database that cannot be used


async def test_a_thread_that_stays_locked_is_an_error_that_a_retry_helps(nodes: Nodes, impatient: Impatient) -> None:
    store = await nodes.open()
    record = await added(store)
    async with locked(nodes.first.database, record):
        with impatient(), pytest.raises(ThreadStoreBusy) as caught:
            await begin(record)
        assert (caught.value.kind, caught.value.retryable) == ("threadStoreBusy", True)
        assert record.active is None
        assert (await store.page(ThreadQuery())).rows[0].id == record.id
    await run(record)
    assert await statuses(store, record.id) == ["completed", "completed"]


async def test_a_write_waits_while_a_thread_is_locked(nodes: Nodes) -> None:
    record = await added(await nodes.open())
    async with anyio.create_task_group() as group, locked(nodes.first.database, record):
        group.start_soon(run, record, "one")
        await anyio.wait_all_tasks_blocked()
    assert record.history == [remembered("one")]


async def test_the_end_of_a_turn_that_could_not_be_written_is_seen_here_and_written_later(
    nodes: Nodes, impatient: Impatient
) -> None:
    store, other, record = await nodes.open(), await nodes.open(), thread()
    await store.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    async with locked(nodes.first.database, record):
        turn.end("completed", None)
        with impatient():
            await record.end_turn(turn)
    assert record.active is None
    (here,), (there,) = await transcript_of(store, record.id), await transcript_of(other, record.id)
    assert (here.turn.viewed("full"), there.turn.status) == (turn.viewed("full"), "inProgress")
    await run(record, "two")
    assert await statuses(other, record.id) == ["completed", "completed"]
    assert record.history == [remembered("one"), remembered("two")]


async def test_the_end_of_a_turn_is_written_with_the_end_of_the_process_at_the_latest(
    nodes: Nodes, impatient: Impatient
) -> None:
    store, other, record = await nodes.open(), await nodes.open(), thread()
    await store.add(record)
    turn = await begin(record)
    async with locked(nodes.first.database, record):
        turn.end("completed", None)
        with impatient():
            await record.end_turn(turn)
    await store.close()
    assert await statuses(other, record.id) == ["completed"]


@pytest.mark.parametrize("begins_first", [True, False])
async def test_a_turn_that_ends_while_its_thread_is_read_is_not_taken_for_interrupted(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, begins_first: bool
) -> None:
    store, record = await nodes.open(), thread()
    await store.add(record)
    turns: list[TurnRecord] = []
    functions = nodes.node_of(store).database.functions
    read = functions.read

    async def begin_turn() -> None:
        turns.append(await begin(record))

    async def end_turn() -> None:
        await end(record, turns[-1])

    async def read_slowly(function: Callable[[Rows], object]) -> object:
        def within(rows: Rows) -> object:
            def and_then_the_turn_ends(query: Query, parameters: Parameters) -> list[Row]:
                found = rows(query, parameters)
                if turns[-1].status == "inProgress":
                    from_thread.run(end_turn)
                return found

            return function(and_then_the_turn_ends)

        if not turns:
            await begin_turn()
        return await read(within)

    if begins_first:
        await begin_turn()
    with monkeypatch.context() as patched:
        patched.setattr(functions, "read", read_slowly)
        assert await statuses(store, record.id) == ["inProgress"]
    assert await statuses(store, record.id) == ["completed"]


async def test_a_start_whose_outcome_nobody_knows_blocks_no_thread(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, record = await nodes.open(), thread()
    await store.add(record)
    await nodes.node_of(store).begin("another turn")  # now there is a lease
    functions = nodes.node_of(store).database.functions
    write = functions.write

    async def unanswered(function: Callable[[sa.Connection], object], committing: Callable[[], object]) -> None:
        await write(function, committing)
        committing()
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(functions, "write", unanswered)
        with pytest.raises(ThreadStoreError) as caught:
            await begin(record)
    assert caught.value.kind == "threadStoreUnavailable"
    assert await statuses(store, record.id) == ["interrupted"]
    await run(record, "one")
    assert await statuses(store, record.id) == ["interrupted", "completed"]


async def test_a_caller_that_is_cancelled_leaves_nothing_half_done(nodes: Nodes) -> None:
    store, record = await nodes.open(), thread()
    await store.add(record)
    turn = await begin(record)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await say(record, turn, "one")
    await end(record, turn)
    (kept,) = await transcript_of(store, record.id)
    assert ([entry.item for entry in kept.entries], record.history) == ([message("one")], [remembered("one")])


async def test_connections_that_were_lost_are_replaced_and_the_turn_goes_on(nodes: Nodes) -> None:
    store, record = await nodes.open(), thread()
    await store.add(record)
    turn = await begin(record)
    if nodes.first.database.is_postgres:
        async with nodes.first.database.writing() as connection:
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    await say(record, turn, "one")
    await end(record, turn)
    assert await statuses(store, record.id) == ["completed"]


async def test_a_store_that_is_to_wait_no_longer_fails_as_busy(nodes: Nodes) -> None:
    store = await nodes.open()
    record = await added(store)
    async with locked(nodes.first.database, record), anyio.create_task_group() as group:

        async def change() -> None:
            with pytest.raises(ThreadStoreBusy):
                await store.change(record.id, Changes(name="x"))

        group.start_soon(change)
        await anyio.wait_all_tasks_blocked()
        store.stop_waiting()
    assert (await stored_thread(store, record.id)).metadata.name is None
