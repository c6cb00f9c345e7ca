"""Processes that share the place of their threads: each sees what the others do, and one runs a turn at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.errors import RequestError
from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.transcript import Cut, Entry
from appserver.threads.turn_record import TurnRecord
from tests.threads.records import (
    added,
    begin,
    end,
    loaded,
    message,
    remembered,
    run,
    say,
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from appserver.threads.stores.base import ThreadReader, ThreadStore
    from tests.threads.stores.sharing import Sharing

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0
"""What a test waits at most for a thread."""


async def statuses(store: ThreadStore, thread_id: str) -> list[str]:
    return [turn.status for turn in (await turns_of(store, thread_id, PageQuery(descending=False))).rows]


async def test_what_one_process_wrote_the_other_reads(sharing: Sharing) -> None:
    record, other = await added(await sharing.open(), "Hello", "one"), await sharing.open()
    assert (await loaded(other, record.id)).history == record.history
    assert [one.id for one in (await other.page(ThreadQuery())).rows] == [record.id]


async def test_a_turn_of_a_process_that_lives_is_in_progress_for_the_other(sharing: Sharing) -> None:
    record, first, second = thread(), await sharing.open(), await sharing.open()
    await first.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    theirs = await loaded(second, record.id)
    assert await statuses(second, record.id) == ["inProgress"]
    for change in (begin(theirs), theirs.inject([remembered("between")]), theirs.revert(turn.id)):
        with pytest.raises(RequestError, match="active in this thread") as caught:
            await change
        assert caught.value.data == {"kind": "threadBusy", "activeTurnId": turn.id}
    await end(record, turn)
    assert await statuses(second, record.id) == ["completed"]
    await run(theirs, "two")
    assert theirs.history == [remembered("one"), remembered("two")]


async def test_a_turn_of_a_process_that_died_is_found_as_interrupted(sharing: Sharing) -> None:
    record, died, other = thread(), await sharing.open(), await sharing.open()
    await died.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    await sharing.end(died)
    (found,) = await transcript_of(other, record.id)
    assert found.turn.status == "interrupted"
    assert found.turn.completed_at == found.entries[-1].completed_at
    assert [entry.item for entry in found.entries] == [message("one")]
    assert await statuses(other, record.id) == ["interrupted"]
    await run(await loaded(other, record.id), "two")
    assert await statuses(other, record.id) == ["interrupted", "completed"]
    assert (await transcript_of(other, record.id))[0].turn.completed_at == found.turn.completed_at


async def test_a_turn_of_a_process_that_died_is_copied_as_interrupted(sharing: Sharing) -> None:
    record, copy, died, other = thread(), thread(), await sharing.open(), await sharing.open()
    await died.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    await sharing.end(died)
    await other.fork(record.id, copy, Cut(last=turn.id))
    assert await statuses(other, copy.id) == await statuses(other, record.id) == ["interrupted"]


async def test_a_thread_that_is_loaded_twice_takes_over_what_the_other_did(sharing: Sharing) -> None:
    here = await added(await sharing.open(), "Hello", "one")
    there = await loaded(await sharing.open(), here.id)
    await run(there, "two")
    await run(here, "three")
    await run(there, "four")
    assert there.history == [remembered(text) for text in ("one", "two", "three", "four")]


async def test_another_process_goes_on_with_what_is_left(sharing: Sharing) -> None:
    record = await added(await sharing.open(), "Hello", "one")
    other = await loaded(await sharing.open(), record.id)
    second = await run(record, "two")
    await record.revert(second.id)
    await record.inject([remembered("new")])
    await run(other, "three")
    assert other.history == [remembered(text) for text in ("one", "new", "three")]
    await other.inject([remembered("more")])
    await run(record, "four")
    assert record.history == [remembered(text) for text in ("one", "new", "three", "more", "four")]


async def test_a_thread_that_another_process_deleted_takes_no_turn(sharing: Sharing) -> None:
    here, other = await added(await sharing.open(), "Hello", "one"), await sharing.open()
    turn = await begin(here)
    await other.delete(here.id)
    with pytest.raises(RequestError, match="thread not found"):
        await say(here, turn, "two")
    await end(here, turn)
    told = Entry(message("three"), remembered("three"), forgets=False, completed_at=1.5)
    with pytest.raises(RequestError, match="thread not found"):
        await here.start_turn(TurnRecord([]), [told], {"model": "other-model"})
    assert (here.history, here.metadata.model, here.active) == ([remembered("one")], "fake-model", None)


async def test_a_thread_is_read_as_of_one_moment(sharing: Sharing) -> None:
    here, reader, other = await added(await sharing.open(), "Hello", "one"), await sharing.open(), await sharing.open()
    reading, changed = threading.Event(), threading.Event()

    def query(found: ThreadReader) -> None:
        before = found.thread()
        reading.set()
        assert changed.wait(WAIT_SECONDS)
        assert [[entry.item for entry in one.entries] for one in found.transcript()] == [[message("one")]]
        assert len(found.turns(PageQuery()).rows) == len(found.items(PageQuery()).rows) == 1
        assert found.thread() == before

    async with anyio.create_task_group() as group:
        group.start_soon(reader.read, here.id, query)
        await anyio.to_thread.run_sync(reading.wait, WAIT_SECONDS)
        await run(here, "two")
        await other.delete(here.id)
        changed.set()
