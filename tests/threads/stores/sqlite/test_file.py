"""A threads.db that is deleted, replaced or damaged while it is in use: what is loaded goes on."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from appserver.errors import ThreadNotFound, ThreadStoreError
from appserver.threads.paging import ThreadQuery
from appserver.threads.stores.sqlite.leases import DIRECTORY
from tests.threads.records import (
    added,
    begin,
    end,
    loaded,
    message,
    remembered,
    run,
    say,
    stored_thread,
    thread,
    transcript_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.threads.stores.sqlite.store import SqliteThreads
    from protocol.item import Item

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted"),
]


def deleted(database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


async def said(store: SqliteThreads, thread_id: str) -> list[list[Item | None]]:
    return [[entry.item for entry in one.entries] for one in await transcript_of(store, thread_id)]


async def test_a_thread_goes_on_in_a_new_file_with_its_whole_transcript(
    opened: Callable[..., SqliteThreads], database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = await added(opened(), "Hello", "one")
    deleted(database)
    await run(here, "two")
    await run(here, "three")
    other = opened()
    assert await said(other, here.id) == [[message("one")], [message("two")], [message("three")]]
    assert (await loaded(other, here.id)).history == here.history
    assert [one.id for one in (await other.page(ThreadQuery())).rows] == [here.id]
    assert caplog.text.count("was deleted or replaced") == 1
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("gone", ["the file", "the file without its log", "the directory"])
async def test_a_turn_goes_on_in_a_new_file(opened: Callable[..., SqliteThreads], database: Path, gone: str) -> None:
    record = thread("Hello", developer_instructions="Rhyme.")
    await opened().add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    match gone:
        case "the file":
            deleted(database)
        case "the file without its log":
            database.unlink()
        case _:
            shutil.rmtree(database.parent)
    await say(record, turn, "two")
    other = opened()
    assert [one.turn.status for one in await transcript_of(other, record.id)] == ["inProgress"], "its process lives"
    await end(record, turn)
    assert await said(other, record.id) == [[message("one"), message("two")]]
    (found,) = await transcript_of(other, record.id)
    assert found.turn.viewed("full") == turn.viewed("full")
    assert (await stored_thread(other, record.id)).settings.developer_instructions == "Rhyme."


async def test_what_is_not_loaded_goes_with_the_file(opened: Callable[..., SqliteThreads], database: Path) -> None:
    store, other = opened(), opened()
    here, there = await added(store, "Hello", "one"), await added(other, "Bye", "one")
    deleted(database)
    await run(here, "two")
    with pytest.raises(ThreadNotFound):
        await transcript_of(store, there.id)


async def test_a_thread_that_was_deleted_before_the_file_stays_deleted(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened()
    here, gone = await added(store, "Hello", "one"), await added(store, "Bye", "one")
    await opened().delete(gone.id)
    deleted(database)
    await run(here, "two")
    with pytest.raises(ThreadNotFound):
        await begin(gone)
    assert [one.id for one in (await opened().page(ThreadQuery())).rows] == [here.id]


async def test_two_processes_that_have_a_thread_loaded_find_each_other_again(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here = await added(opened(), "Hello", "one")
    there = await loaded(opened(), here.id)
    deleted(database)
    await run(here, "two")
    await run(there, "three")
    await run(here, "four")
    assert here.history == [remembered(text) for text in ("one", "two", "three", "four")]
    assert len(await said(opened(), here.id)) == 4


async def test_a_turn_goes_on_in_an_earlier_copy_that_was_put_in_place(
    opened: Callable[..., SqliteThreads], database: Path, tmp_path: Path
) -> None:
    here = await added(opened(), "Hello", "one")
    with closing(sqlite3.connect(database)) as connection, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        connection.backup(copy)
    await run(here, "two")
    turn = await begin(here)
    await say(here, turn, "three")
    deleted(database)
    (tmp_path / "copy").rename(database)
    await say(here, turn, "four")
    await end(here, turn)
    await run(here, "five")
    texts = [["one"], ["two"], ["three", "four"], ["five"]]
    assert await said(opened(), here.id) == [[message(text) for text in turn] for turn in texts]
    assert here.history == [remembered(text) for turn in texts for text in turn]


async def test_a_process_that_starts_after_the_file_alone_was_deleted_begins_anew_and_harms_nothing(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here, idle = await added(opened(), "Hello", "one"), await added(opened(), "Bye", "one")
    turn = await begin(here)
    await say(here, turn, "two")
    database.unlink()
    late = await added(opened(), "Late", "one")
    await say(here, turn, "three")
    await end(here, turn)
    await run(idle, "two")
    await run(late, "two")
    other = opened()
    assert await said(other, here.id) == [[message("one")], [message("two"), message("three")]]
    assert await said(other, idle.id) == await said(other, late.id) == [[message("one")], [message("two")]]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_lock_file_that_was_deleted_is_there_again_with_the_next_turn(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here, other = await added(opened()), opened()
    shutil.rmtree(database.parent / DIRECTORY)
    turn = await begin(here)
    assert (await transcript_of(other, here.id))[-1].turn.status == "inProgress"
    await end(here, turn)


@pytest.mark.parametrize("how", ["replaced", "overwritten"])
async def test_a_damaged_file_is_named_and_once_it_is_moved_away_what_is_loaded_goes_on(
    opened: Callable[..., SqliteThreads], database: Path, how: str
) -> None:
    here = await added(opened(), "Hello", "one")
    turn = await begin(here)
    await say(here, turn, "two")
    if how == "replaced":
        deleted(database)
        database.write_bytes(b"no database at all" * 1000)
    else:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with database.open("r+b") as file:
            file.write(b"\xff" * database.stat().st_size)
    with pytest.raises(ThreadStoreError, match=r"threads\.db: is damaged; move it away") as caught:
        await here.add_item(turn, message("three"), remembered("three"))
    assert caught.value.kind == "threadStoreCorrupt"
    deleted(database)
    await say(here, turn, "four")
    await end(here, turn)
    await run(here, "five")
    texts = ["one", "two", "four", "five"]
    assert here.history == (await loaded(opened(), here.id)).history == [remembered(text) for text in texts]
    assert (await said(opened(), here.id))[-2:] == [[message("two"), message("four")], [message("five")]]


async def test_a_file_that_cannot_be_begun_anew_is_an_error_until_it_can(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here = await added(opened(), "Hello", "one")
    turn = await begin(here)
    deleted(database)
    database.mkdir()
    with pytest.raises(ThreadStoreError, match="cannot be opened") as caught:
        await here.add_item(turn, message("two"), remembered("two"))
    assert caught.value.kind == "threadStoreUnavailable"
    await end(here, turn, "failed")
    database.rmdir()
    await run(here, "three")
    (_, failed, _) = await transcript_of(opened(), here.id)
    assert (failed.turn.status, failed.entries) == ("failed", [])
    assert await said(opened(), here.id) == [[message("one")], [], [message("three")]]
