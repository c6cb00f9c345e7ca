"""What clients change of a history, in every thread store: items put into it, and turns taken out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.errors import RequestError, ThreadNotFound
from appserver.threads.paging import PageQuery
from appserver.threads.stores.memory import MemoryThreads
from appserver.threads.stores.sqlite.store import SqliteThreads
from appserver.threads.transcript import Cut
from tests.threads.records import (
    added,
    at_once,
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
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.threads.stores.base import ThreadStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ThreadStore]:
    kind: ThreadStore = MemoryThreads() if request.param == "memory" else SqliteThreads(str(tmp_path))
    yield kind
    kind.close()


def said(*texts: str) -> list[object]:
    return [remembered(text) for text in texts]


def test_items_stand_where_they_were_put_in(store: ThreadStore) -> None:
    record = thread()
    store.add(record)
    record.inject([remembered("before")])
    run(record, "one")
    record.inject([remembered("between"), remembered("too")])
    run(record, "two")
    assert record.history == said("before", "one", "between", "too", "two")
    assert loaded(store, record.id).history == record.history


def test_items_that_were_put_in_are_not_part_of_the_transcript(store: ThreadStore) -> None:
    record = thread()
    store.add(record)
    record.inject([remembered("before")])
    assert (transcript_of(store, record.id), items_of(store, record.id, PageQuery()).rows) == ([], [])
    run(record, "one")
    record.inject([remembered("after")])
    assert [one.turn.items for one in transcript_of(store, record.id)] == [[message("one")]]
    assert [one.item for one in items_of(store, record.id, PageQuery()).rows] == [message("one")]
    assert len(turns_of(store, record.id, PageQuery()).rows) == 1


def test_a_summary_takes_the_place_of_what_was_put_in_before_it(store: ThreadStore) -> None:
    record = thread()
    store.add(record)
    record.inject([remembered("before")])
    turn = begin(record)
    at_once(record.replace_history(turn, message("shown"), remembered("summary")))
    end(record, turn)
    record.inject([remembered("after")])
    assert loaded(store, record.id).history == record.history == said("summary", "after")


def test_a_fork_has_what_was_put_in_up_to_its_cut(store: ThreadStore) -> None:
    record = thread()
    store.add(record)
    record.inject([remembered("before")])
    first, second = run(record, "one"), run(record, "two")
    record.inject([remembered("after")])
    for cut, history in (
        (Cut(), said("before", "one", "two", "after")),
        (Cut(before=second.id), said("before", "one")),
        (Cut(before=first.id), said("before")),
    ):
        fork = thread()
        store.fork(record.id, fork, cut)
        assert fork.history == history
        assert loaded(store, fork.id).history == history


def test_a_thread_may_be_kept_with_what_stands_before_its_turns(store: ThreadStore) -> None:
    elsewhere, record, copy = MemoryThreads(), thread(), thread()
    elsewhere.add(record)
    record.inject([remembered("before")])
    run(record, "one")
    with elsewhere.reading(record.id) as found:
        store.add(copy, found.transcript(), found.first_entries())
    assert copy.history == loaded(store, copy.id).history == said("before", "one")
    with store.reading(copy.id) as kept:
        assert [entry.remembered for entry in kept.first_entries()] == said("before")


def test_a_turn_and_all_after_it_are_taken_out(store: ThreadStore) -> None:
    record = added(store, "Hello", "one")
    second = run(record, "two")
    record.inject([remembered("after two")])
    run(record, "three")
    record.revert(second.id)
    assert record.history == loaded(store, record.id).history == said("one")
    assert [one.turn.items for one in transcript_of(store, record.id)] == [[message("one")]]
    run(record, "four")
    assert loaded(store, record.id).history == record.history == said("one", "four")


def test_all_turns_may_be_taken_out(store: ThreadStore) -> None:
    record = thread()
    store.add(record)
    record.inject([remembered("before")])
    first = run(record, "one")
    record.revert(first.id)
    assert record.history == loaded(store, record.id).history == said("before")
    assert transcript_of(store, record.id) == []


def test_a_summary_that_is_taken_out_gives_back_what_it_stood_for(store: ThreadStore) -> None:
    record = added(store, "Hello", "one")
    turn = begin(record)
    at_once(record.replace_history(turn, message("shown"), remembered("summary")))
    end(record, turn)
    record.revert(turn.id)
    assert record.history == loaded(store, record.id).history == said("one")


def test_a_turn_that_is_not_there_takes_nothing_out(store: ThreadStore) -> None:
    record = added(store, "Hello", "one")
    with pytest.raises(RequestError, match="turn not found: nope"):
        record.revert("nope")
    assert record.history == loaded(store, record.id).history == said("one")


def test_another_process_goes_on_with_what_is_left(tmp_path: Path) -> None:
    here, there = SqliteThreads(str(tmp_path)), SqliteThreads(str(tmp_path))
    record = added(here, "Hello", "one")
    other = loaded(there, record.id)
    second = run(record, "two")
    record.revert(second.id)
    record.inject([remembered("new")])
    run(other, "three")
    assert other.history == said("one", "new", "three")
    other.inject([remembered("more")])
    run(record, "four")
    assert record.history == said("one", "new", "three", "more", "four")
    here.close()
    there.close()


def test_nothing_is_put_into_a_thread_that_is_gone(tmp_path: Path) -> None:
    store = SqliteThreads(str(tmp_path))
    record = added(store, "Hello", "one")
    store.delete(record.id)
    with pytest.raises(ThreadNotFound):
        record.inject([remembered("new")])
    with pytest.raises(ThreadNotFound):
        record.revert("any")
    assert record.history == said("one")
    store.close()
