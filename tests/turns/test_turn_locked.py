"""A turn whose threads.db is locked: what is said is written down before it is told, and the turn ends once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.errors import RequestError, ThreadStoreBusy
from appserver.threads.stores import recorder
from tests.threads.records import locked, transcript_of
from tests.turns.fakes import Stream, answer, call, delta, message, said, words
from tests.turns.fakes import opened as opened_message
from tests.turns.test_turn_manager import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from anyio.abc import TaskGroup

    from appserver.threads.stores.sqlite.store import SqliteThreads

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[TaskGroup]:
    """Run the turns of a desk, and wait for their ends."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            desk.tasks.open(group)
            yield group


async def desk_on(store: SqliteThreads, *replies: Stream) -> Desk:
    desk = Desk(*replies)
    await store.add(desk.thread)
    return desk


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the database's thread and the event loop do together."""
    while not condition():  # noqa: ASYNC110 - no event tells of it
        await anyio.sleep(0.001)


async def test_an_item_is_told_once_it_is_written(opened: Callable[..., SqliteThreads], database: Path) -> None:
    store, go = opened(), anyio.Event()
    stream = Stream([message("m", "first"), go, message("n", "second"), call()])
    desk = await desk_on(store, stream, answer())
    await desk.start()
    async with running(desk):
        await stream.stands.wait()
        await until(lambda: len(desk.told.items()) == 2)
        with locked(database):
            go.set()
            await until(lambda: len(desk.told.items("item/started")) == 3)
            assert [item["id"] for item in desk.told.items()][1:] == ["m"]
            assert [item["id"] for item in desk.told.items("item/started")][1:] == ["m", "n"]
            assert len((await transcript_of(opened(), desk.thread.id))[0].entries) == 2
    assert [end["status"] for end in desk.ends()] == ["completed"]
    assert [item["type"] for item in desk.told.items()][1:] == ["agentMessage", "agentMessage", "dynamicToolCall"]


async def test_the_last_item_is_written_while_the_response_is_read_to_its_end(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store, go = opened(), anyio.Event()
    done = {"type": "response.completed", "response": {"usage": {"total_tokens": 3}}}
    stream = Stream([go, opened_message("m"), delta("m", "said"), message("m", "said"), done])
    desk = await desk_on(store, stream)
    turn = await desk.start()
    async with running(desk):
        await stream.stands.wait()
        with locked(database):
            go.set()
            await until(lambda: stream.closed)
            assert desk.told.methods[-1] == "item/agentMessage/delta", "nothing is told that comes after the item"
            assert turn.texts == {"m": ["said"]}, "who comes now does not find it in the history"
    assert turn.texts == {}
    ended = ["item/completed", "thread/tokenUsage/updated", "thread/status/changed", "turn/completed"]
    assert desk.told.methods[-4:] == ended


async def test_what_was_said_is_written_before_an_interrupt_ends_the_turn(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store, go = opened(), anyio.Event()
    stream = Stream([go, message("m", "said"), anyio.Event()])
    desk = await desk_on(store, stream)
    turn = await desk.start()
    async with running(desk):
        await stream.stands.wait()
        with locked(database):
            go.set()
            await until(lambda: "item/started" in desk.told.methods[-1:])
            desk.manager.interrupt(desk.thread, turn.id)
            await anyio.wait_all_tasks_blocked()
            assert desk.ends() == []
    assert [end["status"] for end in desk.ends()] == ["interrupted"]
    (found,) = await transcript_of(store, desk.thread.id)
    assert (found.turn.status, len(found.entries)) == ("interrupted", 2)
    assert words(desk.thread.history)[1:] == ["assistant: said"]


async def test_a_turn_whose_end_is_being_written_is_over(opened: Callable[..., SqliteThreads], database: Path) -> None:
    store, go = opened(), anyio.Event()
    stream = Stream([go, {"type": "response.completed", "response": {}}])
    desk = await desk_on(store, stream, answer(message("m", "ok")))
    turn = await desk.start("one")
    async with running(desk):
        await stream.stands.wait()
        with locked(database):
            go.set()
            await until(lambda: turn.status != "inProgress")
            assert (turn.status, desk.ends()) == ("completed", [])
            with pytest.raises(RequestError, match="no active turn to steer"):
                desk.manager.steer(desk.thread, turn.id, said("late"))
            with pytest.raises(ThreadStoreBusy):
                await desk.start("two")
        await desk.manager.end_written(desk.thread)
        await desk.start("two")
    assert [end["status"] for end in desk.ends()] == ["completed", "completed"]
    assert words(desk.stage.model.inputs[1]) == ["user: one", "user: two"]


async def test_a_turn_that_has_waited_in_vain_fails_and_ends_once(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store, go = opened(busy_seconds=0.01), anyio.Event()
    go.set()
    stream = Stream([go, message("m", "said"), anyio.Event()])
    desk = await desk_on(store, stream)
    await desk.start()
    with locked(database):
        async with running(desk) as group:
            await desk.manager.idle()
            group.cancel_scope.cancel()
    (end,) = desk.ends()
    assert (end["status"], end["error"]["kind"]) == ("failed", "threadStoreBusy")
    assert desk.thread.active is None
    await store.close()
    assert [one.turn.status for one in await transcript_of(opened(), desk.thread.id)] == ["failed"]


async def test_an_end_that_could_not_be_written_in_time_is_written_once_it_can(
    opened: Callable[..., SqliteThreads], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.001)
    store, other, go = opened(busy_seconds=0.01), opened(), anyio.Event()
    stream = Stream([go, {"type": "response.completed", "response": {}}])
    desk = await desk_on(store, stream)
    await desk.start()
    async with running(desk):
        await stream.stands.wait()
        with locked(database):
            go.set()
            await desk.manager.idle()
            assert [end["status"] for end in desk.ends()] == ["completed"], "it is told all the same"
            assert [one.turn.status for one in await transcript_of(other, desk.thread.id)] == ["inProgress"]
    assert [one.turn.status for one in await transcript_of(other, desk.thread.id)] == ["completed"]
