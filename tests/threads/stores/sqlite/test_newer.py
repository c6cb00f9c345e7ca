"""Rows that a newer version of this program has written: read as far as known, and written back as they were."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from appserver.errors import ThreadStoreError
from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.sqlite.schema import VERSION
from appserver.threads.transcript import Cut
from appserver.threads.turn_record import TurnRecord
from tests.threads.records import (
    added,
    items_of,
    loaded,
    message,
    remembered,
    run,
    stored_thread,
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.threads.stores.sqlite.store import SqliteThreads

pytestmark = pytest.mark.anyio

USAGE: Any = {
    "totalTokens": 3,
    "inputTokens": 1,
    "cachedInputTokens": 0,
    "cacheWriteInputTokens": 0,
    "outputTokens": 2,
    "reasoningOutputTokens": 0,
}


def changed(database: Path, column: str, table: str, **members: object) -> None:
    """Add members to a column of JSON, as a newer version would."""
    with closing(sqlite3.connect(database)) as connection, connection:
        (text,) = connection.execute(f"SELECT {column} FROM {table}").fetchone()  # noqa: S608 - names of this test
        changed = json.dumps({**json.loads(text), **members})
        connection.execute(f"UPDATE {table} SET {column} = ?", (changed,))  # noqa: S608


def read(database: Path, column: str, table: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608 - names of this test
    return [json.loads(text) for (text,) in rows]


async def test_members_that_only_a_newer_version_knows_are_written_back(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    record = await added(opened(), "Hello", "one", effort="high")
    changed(database, "metadata", "threads", colour="blue")
    changed(database, "settings", "thread_settings", tone={"warm": True})
    changed(database, "usage", "threads", thoughtTokens=5)
    found = await loaded(opened(), record.id)
    assert (found.metadata.preview, found.metadata.effort, found.settings.instructions) == (
        "Hello",
        "high",
        "Be brief.",
    )
    assert [one.id for one in (await opened().page(ThreadQuery())).rows] == [record.id]
    found.add_usage(USAGE)
    found.choose({"model": "other-model"})
    await run(found, "two")
    fork = await loaded(opened(), record.id)
    fork.metadata = replace(fork.metadata, id="fork")
    await opened().fork(record.id, fork, Cut())
    for metadata in read(database, "metadata", "threads"):
        assert (metadata["colour"], metadata["model"]) == ("blue", "other-model")
    for in_force in read(database, "settings", "thread_settings"):
        assert (in_force["tone"], in_force["instructions"]) == ({"warm": True}, "Be brief.")
    assert read(database, "usage", "threads")[0] == {**USAGE, "thoughtTokens": 5}


async def test_what_a_newer_process_writes_while_a_thread_is_loaded_is_written_back(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here = await added(opened(), "Hello", "one")
    await run(await loaded(opened(), here.id), "two")
    changed(database, "metadata", "threads", colour="blue")
    changed(database, "settings", "thread_settings", tone="warm")
    await run(here, "three")
    here.choose({"model": "other-model"})
    await run(here, "four")
    assert read(database, "metadata", "threads")[0]["colour"] == "blue"
    assert read(database, "settings", "thread_settings")[0]["tone"] == "warm"


async def test_what_a_newer_process_has_written_stays_with_a_turn_that_starts_with_other_settings(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    here = await added(opened(), "Hello", "one")
    await run(await loaded(opened(), here.id), "two")
    changed(database, "metadata", "threads", colour="blue")
    changed(database, "settings", "thread_settings", tone="warm")
    changed(database, "usage", "threads", thoughtTokens=5)
    await here.start_turn(TurnRecord([]), (), {"model": "other-model", "mode": "plan"})
    (metadata,), (settings,) = read(database, "metadata", "threads"), read(database, "settings", "thread_settings")
    assert (metadata["colour"], metadata["model"]) == ("blue", "other-model")
    assert (settings["tone"], settings["mode"]) == ("warm", "plan")
    assert read(database, "usage", "threads")[0]["thoughtTokens"] == 5
    assert here.history == [remembered("one"), remembered("two")]


NEWER: Any = {"type": "holograph", "id": "h1", "beam": [1, 2]}


@pytest.mark.parametrize(
    "remembered_as",
    ["true", '"text"', '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"h"}]}'],
)
@pytest.mark.parametrize("item", [NEWER, {"type": "agentMessage", "id": "m", "words": ["no", "text"]}, {"id": "m"}])
async def test_an_item_of_a_kind_that_only_a_newer_version_knows_is_shown_and_kept(
    opened: Callable[..., SqliteThreads], database: Path, item: dict[str, Any], remembered_as: str
) -> None:
    store = opened()
    record = await added(store, "Hello", "one")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO items (thread, turn, completed_at, forgets, item, remembered) SELECT thread, key, 1, 0, ?, ?"
            " FROM turns",
            (json.dumps(item), remembered_as),
        )
    sent = [json.loads(remembered_as)] if remembered_as.startswith("{") else []
    found = await loaded(opened(), record.id)
    assert found.history == [remembered("one"), *sent], "what is not known is not sent to the model"
    assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [item, message("one")]
    (turn,) = (await turns_of(store, record.id, PageQuery(), "full")).rows
    assert turn.viewed("full")["items"] == [message("one"), item]
    assert len((await turns_of(store, record.id, PageQuery(), "summary")).rows[0].viewed("summary")["items"]) == 1
    fork = thread(forked_from=record.id)
    await store.fork(record.id, fork, Cut())
    assert (await transcript_of(store, fork.id))[0].entries == (await transcript_of(store, record.id))[0].entries


async def test_a_turn_whose_status_only_a_newer_version_knows_is_shown(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    record = await added(opened(), "Hello", "one")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute('UPDATE turns SET status = \'postponed\', error = \'{"message": "later", "until": 5}\'')
    (turn,) = (await turns_of(opened(), record.id, PageQuery())).rows
    shown: Any = turn.viewed("notLoaded")
    assert (shown["status"], shown["error"]) == ("postponed", {"message": "later", "until": 5})
    await run(await loaded(opened(), record.id), "two")


async def test_columns_that_only_a_newer_version_knows_are_left_alone(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    record = await added(opened(), "Hello", "one")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE threads ADD COLUMN colour TEXT")
        connection.execute("UPDATE threads SET colour = 'blue'")
    await run(await loaded(opened(), record.id), "two")
    assert (await stored_thread(opened(), record.id)).metadata.preview == "Hello"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT colour FROM threads").fetchall() == [("blue",)]


async def test_a_schema_of_a_newer_version_is_named_and_left_alone(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    await added(opened(), "Hello", "one")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 2}")
        before = list(connection.iterdump())
    with pytest.raises(ThreadStoreError, match=f"newer version .schema {VERSION + 2}; ") as caught:
        await opened().page(ThreadQuery())
    assert caught.value.kind == "threadStoreTooNew"
    with pytest.raises(ThreadStoreError, match="newer version"):
        await opened().add(thread())
    with closing(sqlite3.connect(database)) as connection:
        assert list(connection.iterdump()) == before
