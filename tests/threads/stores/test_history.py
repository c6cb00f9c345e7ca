"""What clients change of a history, in every thread store: items put into it, and turns taken out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.errors import RequestError, ThreadNotFound
from appserver.threads.paging import PageQuery
from appserver.threads.stores.memory import MemoryThreads
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
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from appserver.threads.stores.base import ThreadStore
    from tests.threads.stores.sharing import Sharing

pytestmark = pytest.mark.anyio


def said(*texts: str) -> list[object]:
    return [remembered(text) for text in texts]


async def test_items_stand_where_they_were_put_in(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    await record.inject([remembered("before")])
    await run(record, "one")
    await record.inject([remembered("between"), remembered("too")])
    await run(record, "two")
    assert record.history == said("before", "one", "between", "too", "two")
    assert (await loaded(store, record.id)).history == record.history


async def test_items_that_were_put_in_are_not_part_of_the_transcript(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    await record.inject([remembered("before")])
    assert (await transcript_of(store, record.id), (await items_of(store, record.id, PageQuery())).rows) == ([], [])
    await run(record, "one")
    await record.inject([remembered("after")])
    assert [one.turn.items for one in await transcript_of(store, record.id)] == [[message("one")]]
    assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [message("one")]
    assert len((await turns_of(store, record.id, PageQuery())).rows) == 1


async def test_a_summary_takes_the_place_of_what_was_put_in_before_it(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    await record.inject([remembered("before")])
    turn = await begin(record)
    await record.replace_history(turn, message("shown"), remembered("summary"))
    await end(record, turn)
    await record.inject([remembered("after")])
    assert (await loaded(store, record.id)).history == record.history == said("summary", "after")


async def test_a_fork_has_what_was_put_in_up_to_its_cut(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    await record.inject([remembered("before")])
    first, second = await run(record, "one"), await run(record, "two")
    await record.inject([remembered("after")])
    for cut, history in (
        (Cut(), said("before", "one", "two", "after")),
        (Cut(before=second.id), said("before", "one")),
        (Cut(before=first.id), said("before")),
    ):
        fork = thread()
        await store.fork(record.id, fork, cut)
        assert fork.history == history
        assert (await loaded(store, fork.id)).history == history


async def test_a_thread_may_be_kept_with_what_stands_before_its_turns(store: ThreadStore) -> None:
    elsewhere, record, copy = MemoryThreads(), thread(), thread()
    await elsewhere.add(record)
    await record.inject([remembered("before")])
    await run(record, "one")
    first = await elsewhere.read(record.id, lambda found: found.first_entries())
    await store.add(copy, await transcript_of(elsewhere, record.id), first)
    assert copy.history == (await loaded(store, copy.id)).history == said("before", "one")
    kept = await store.read(copy.id, lambda found: found.first_entries())
    assert [entry.remembered for entry in kept] == said("before")


async def test_a_turn_and_all_after_it_are_taken_out(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one")
    second = await run(record, "two")
    await record.inject([remembered("after two")])
    await run(record, "three")
    await record.revert(second.id)
    assert record.history == (await loaded(store, record.id)).history == said("one")
    assert [one.turn.items for one in await transcript_of(store, record.id)] == [[message("one")]]
    await run(record, "four")
    assert (await loaded(store, record.id)).history == record.history == said("one", "four")


async def test_all_turns_may_be_taken_out(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    await record.inject([remembered("before")])
    first = await run(record, "one")
    await record.revert(first.id)
    assert record.history == (await loaded(store, record.id)).history == said("before")
    assert await transcript_of(store, record.id) == []


async def test_a_summary_that_is_taken_out_gives_back_what_it_stood_for(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one")
    turn = await begin(record)
    await record.replace_history(turn, message("shown"), remembered("summary"))
    await end(record, turn)
    await record.revert(turn.id)
    assert record.history == (await loaded(store, record.id)).history == said("one")


async def test_a_turn_that_is_not_there_takes_nothing_out(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one")
    with pytest.raises(RequestError, match="turn not found: nope"):
        await record.revert("nope")
    assert record.history == (await loaded(store, record.id)).history == said("one")


async def test_nothing_is_put_into_a_thread_that_is_gone(sharing: Sharing) -> None:
    store = await sharing.open()
    record = await added(store, "Hello", "one")
    await store.delete(record.id)
    with pytest.raises(ThreadNotFound):
        await record.inject([remembered("new")])
    with pytest.raises(ThreadNotFound):
        await record.revert("any")
    assert record.history == said("one")
