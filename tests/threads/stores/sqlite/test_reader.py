"""Reading a thread: everything as of one moment, in few statements, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.sqlite.leases import Owners
from tests.threads.records import added, begin, end, loaded, locked, message, run, say, thread, transcript_of, turns_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.threads.stores.sqlite.store import SqliteThreads


def test_a_thread_is_read_as_of_one_moment(opened: Callable[..., SqliteThreads]) -> None:
    here = added(opened(), "Hello", "one")
    with opened().reading(here.id) as found:
        before = found.thread()
        run(here, "two")
        opened().delete(here.id)
        assert [[entry.item for entry in one.entries] for one in found.transcript()] == [[message("one")]]
        assert len(found.turns(PageQuery()).rows) == len(found.items(PageQuery()).rows) == 1
        assert found.thread() == before


def test_a_thread_of_any_length_is_read_in_few_statements(
    opened: Callable[..., SqliteThreads], statements: list[str]
) -> None:
    store = opened()
    record = added(store, "Hello", "one")
    for number in range(30):
        run(record, f"{number}", "and more")
    statements.clear()
    with store.reading(record.id) as found:
        found.thread()
        assert len(found.transcript()) == 31
        found.attach(thread())
        found.turns(PageQuery(limit=30), "full")
        found.items(PageQuery(limit=30))
    assert len(statements) <= 10


def test_reading_writes_nothing(opened: Callable[..., SqliteThreads], statements: list[str]) -> None:
    record = thread()
    died, other = opened(), opened()
    died.add(record)
    say(record, begin(record), "one")
    died.close()
    other.page(ThreadQuery())
    for _ in range(2):
        statements.clear()
        assert turns_of(other, record.id, PageQuery()).rows[0].status == "interrupted"
        assert {one.split()[0] for one in statements} == {"BEGIN", "SELECT", "COMMIT"}


def test_a_turn_that_ended_with_its_process_while_it_was_read_is_not_taken_for_cut_off(
    opened: Callable[..., SqliteThreads], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, theirs, alive = thread(), opened(), Owners.alive
    theirs.add(record)
    turn = begin(record)

    def ends_when_asked_for(owners: Owners, token: str) -> bool:
        end(record, turn)
        theirs.close()
        return alive(owners, token)

    monkeypatch.setattr(Owners, "alive", ends_when_asked_for)
    assert [one.turn.status for one in transcript_of(opened(), record.id)] == ["completed"]


@pytest.mark.anyio
async def test_the_end_of_a_turn_that_is_not_written_yet_is_seen_all_the_same(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened(busy_seconds=0.01)
    record = thread()
    store.add(record)
    turn = begin(record)
    say(record, turn, "one")
    with locked(database):
        turn.end("completed", None)
        await record.end_turn(turn)
    (found,) = transcript_of(store, record.id)
    assert (found.turn.viewed("full"), loaded(store, record.id).history) == (turn.viewed("full"), record.history)
