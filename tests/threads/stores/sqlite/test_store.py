"""What only the store in threads.db has to do: share a home, survive crashes, and say what is wrong with a file."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.errors import ThreadStoreError
from appserver.threads.model_items import model_item
from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.sqlite.connection import LOG_BYTES
from appserver.threads.stores.sqlite.leases import DIRECTORY
from appserver.threads.stores.sqlite.schema import MIGRATIONS, VERSION, migrate, version_of
from appserver.threads.stores.sqlite.store import SqliteThreads
from appserver.threads.transcript import Cut
from tests.threads.records import (
    added,
    begin,
    end,
    loaded,
    locked,
    message,
    run,
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

OPENERS = 6
LARGE = "x" * 2_000_000


async def statuses(store: SqliteThreads, thread_id: str) -> list[str]:
    return [turn.status for turn in (await turns_of(store, thread_id, PageQuery(descending=False))).rows]


async def test_lock_files_of_dead_processes_are_swept(opened: Callable[..., SqliteThreads], tmp_path: Path) -> None:
    locks = tmp_path / "home" / DIRECTORY
    locks.mkdir(parents=True)
    (locks / f"{'0' * 32}.lock").touch()
    record = await added(opened())
    assert len(list(locks.iterdir())) == 1
    assert await statuses(opened(), record.id) == ["completed"]


def test_processes_that_open_a_new_home_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import anyio\n"
        "from appserver.threads.stores.sqlite.store import SqliteThreads\n"
        "from tests.threads.records import added\n"
        "async def main():\n"
        "    for number in range(5): await added(store, str(number), 'a', 'b')\n"
        "    await store.close()\n"
        "sys.stdin.readline()\n"
        "store = SqliteThreads(sys.argv[1])\n"
        "anyio.run(main)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, text=True)
        for _ in range(OPENERS)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=30)
        assert process.returncode == 0

    async def count() -> int:
        store = SqliteThreads(str(tmp_path))
        rows = (await store.page(ThreadQuery(limit=100))).rows
        await store.close()
        return len(rows)

    assert anyio.run(count) == 5 * OPENERS


async def test_a_fork_takes_no_more_statements_the_longer_it_is(
    opened: Callable[..., SqliteThreads], statements: list[str]
) -> None:
    store, source, counts = opened(), thread(), []
    await store.add(source)
    for length in (2, 30):
        while len(await transcript_of(store, source.id)) < length:
            await run(source, "some", "more")
        statements.clear()
        await store.fork(source.id, thread(), Cut())
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_fork_keeps_columns_that_only_a_newer_version_knows(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened()
    source, fork = await added(store, "Hello", "one"), thread()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(
            "ALTER TABLE turns ADD COLUMN newer TEXT; UPDATE turns SET newer = 'kept';"
            "ALTER TABLE items ADD COLUMN newer TEXT; UPDATE items SET newer = 'kept';"
        )
    await store.fork(source.id, fork, Cut())
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT newer FROM turns").fetchall() == [("kept",), ("kept",)]
        assert connection.execute("SELECT newer FROM items").fetchall() == [("kept",), ("kept",)]


# A database that cannot be used


async def test_a_database_that_stays_locked_is_an_error_that_a_retry_helps(
    opened: Callable[..., SqliteThreads], database: Path
) -> None:
    store = opened(busy_seconds=0.01)
    record = await added(store)
    with locked(database):
        with pytest.raises(ThreadStoreError, match="locked") as caught:
            await store.add(thread())
        with pytest.raises(ThreadStoreError, match="locked"):
            await begin(record)
        assert (caught.value.kind, caught.value.retryable) == ("threadStoreBusy", True)
        assert record.active is None
        assert (await store.page(ThreadQuery())).rows[0].id == record.id
    await run(record)


@pytest.mark.parametrize("later", ["with the next write", "when the store is closed"])
async def test_the_end_of_a_turn_that_could_not_be_written_is_written_later(
    opened: Callable[..., SqliteThreads], database: Path, later: str
) -> None:
    store = opened(busy_seconds=0.01)
    record = thread()
    await store.add(record)
    turn = await begin(record)
    with locked(database):
        turn.end("completed", None)
        await record.end_turn(turn)
    assert record.active is None
    assert await statuses(opened(), record.id) == ["inProgress"]
    if later == "when the store is closed":
        await store.close()
    else:
        await added(store)
    assert await statuses(opened(), record.id) == ["completed"]


@pytest.mark.parametrize("content", [b"this is no database, whatever its name says" * 100, b"\x00" * 5000])
async def test_a_damaged_database_is_named_and_left_alone(
    opened: Callable[..., SqliteThreads], database: Path, content: bytes
) -> None:
    database.write_bytes(content)
    with pytest.raises(ThreadStoreError, match=r"threads\.db") as caught:
        await opened().add(thread())
    assert caught.value.kind == "threadStoreCorrupt"
    assert database.read_bytes() == content


async def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ThreadStoreError, match="cannot be opened") as caught:
        await SqliteThreads(str(tmp_path / "home")).page(ThreadQuery())
    assert caught.value.kind == "threadStoreUnavailable"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
async def test_transcripts_are_for_their_owner_only(opened: Callable[..., SqliteThreads], database: Path) -> None:
    database.touch(mode=0o644)
    store = opened()
    await added(store, "Hello", "one")
    files = [path for path in database.parent.iterdir() if path.is_file()]
    assert sorted(path.name for path in files) == ["threads.db", "threads.db-shm", "threads.db-wal"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (database.parent / DIRECTORY).stat().st_mode & 0o777 == 0o700


# Migrations


def test_migrations_lead_to_the_last_version_once() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    migrate(connection)
    assert version_of(connection) == VERSION
    connection.close()


def test_a_migration_that_fails_changes_nothing() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE more (x)")))
    assert version_of(connection) == 0
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


async def test_a_later_migration_keeps_what_is_there(opened: Callable[..., SqliteThreads], database: Path) -> None:
    record = await added(opened(), "Hello", "one")
    connection = sqlite3.connect(database, isolation_level=None)
    migrate(connection, (*MIGRATIONS, ("ALTER TABLE threads ADD COLUMN colour TEXT",)))
    assert version_of(connection) == VERSION + 1
    assert connection.execute("SELECT id, colour FROM threads").fetchall() == [(record.id, None)]
    connection.close()


async def test_the_log_is_a_bounded_one(opened: Callable[..., SqliteThreads], database: Path) -> None:
    store = opened()
    record = thread()
    await store.add(record)
    turn = await begin(record)
    for _ in range(12):
        await record.add_item(turn, message("x" * 2_000_000), None)
    await end(record, turn)
    assert os.path.getsize(f"{database}-wal") < 20 * 2**20


async def test_a_large_message_leaves_no_large_log(opened: Callable[[], SqliteThreads], database: Path) -> None:
    record = await added(opened(), "Hello", "x" * 20_000_000)
    await run(record, "and on")
    assert os.path.getsize(f"{database}-wal") <= LOG_BYTES


@pytest.mark.parametrize(
    "item",
    [
        {"type": "userMessage", "id": "u", "clientId": None, "content": [{"type": "text", "text": LARGE}]},
        {"type": "userMessage", "id": "u", "clientId": None, "content": [{"type": "image", "url": LARGE}]},
        {"type": "agentMessage", "id": "a", "text": LARGE, "phase": None},
        {
            "type": "dynamicToolCall",
            "id": "c",
            "contentItems": [{"type": "inputText", "text": LARGE}],
            "success": True,
        },
    ],
    ids=["text", "image", "answer", "tool output"],
)
async def test_a_large_item_is_written_once(item: Any, opened: Callable[[], SqliteThreads], database: Path) -> None:  # noqa: ANN401 - any item
    store, record = opened(), thread()
    await store.add(record)
    turn = await begin(record)
    await record.add_item(turn, item, model_item(item))
    await end(record, turn)
    assert (await loaded(opened(), record.id)).history == [model_item(item)]
    written = sum(os.path.getsize(path) for path in database.parent.glob(f"{database.name}*"))
    assert written < 1.5 * len(LARGE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_json_does_not_have_and_an_earlier_version_wrote_reads_as_null(
    number: str, opened: Callable[[], SqliteThreads], database: Path
) -> None:
    record = await added(opened(), "Hello", "one")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE items SET remembered = ?", (f'{{"type": "message", "x": {number}}}',))
        connection.execute("UPDATE items SET item = ?", (f'{{"type": "dynamicToolCall", "arguments": {number}}}',))
    assert (await loaded(opened(), record.id)).history == [{"type": "message", "x": None}]
    (turn,) = await transcript_of(opened(), record.id)
    assert turn.entries[0].item == {"type": "dynamicToolCall", "arguments": None}


async def test_a_number_that_json_does_not_have_is_not_written(opened: Callable[[], SqliteThreads]) -> None:
    record = thread()
    await opened().add(record)
    turn = await begin(record)
    await record.add_item(turn, None, {"type": "message", "x": [math.nan, math.inf]})
    await end(record, turn)
    assert (await loaded(opened(), record.id)).history == [{"type": "message", "x": [None, None]}]
