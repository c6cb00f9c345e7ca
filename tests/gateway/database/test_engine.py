"""The database is opened by one node, or by many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from appserver.errors import ConfigError, RequestError
from appserver.gateway.database import connections
from appserver.gateway.database.accounts import Accounts
from appserver.gateway.database.engine import Database
from appserver.gateway.database.migrations import LATEST
from appserver.gateway.database.schema import metadata, users
from appserver.gateway.database.threads.schema import threads
from appserver.testing.signals import WAIT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def opened_at_once(url: str | None, home: Path) -> list[Database]:
    databases: list[Database] = []

    async def open_() -> None:
        databases.append(await Database.open(url, str(home)))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(open_)
    return databases


async def close(databases: list[Database]) -> None:
    for database in databases:
        await database.close()


async def test_nodes_that_start_at_once_make_one_schema(empty_postgres: str, tmp_path: Path) -> None:
    databases = await opened_at_once(empty_postgres, tmp_path)
    assert [await database.answers() for database in databases] == [True] * 5
    await close(databases)


async def test_processes_that_start_at_once_on_one_home_make_one_schema(tmp_path: Path) -> None:
    databases = await opened_at_once(None, tmp_path)
    assert [await database.answers() for database in databases] == [True] * 5
    await close(databases)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "postgresql://nobody@127.0.0.1:1/nothing"])
async def test_a_database_that_cannot_be_used_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"database|GATEWAY_DATABASE_URL"):
        await Database.open(url, str(tmp_path))


async def test_a_connection_that_was_lost_meanwhile_is_replaced(
    database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    database = await Database.open(database_url, str(tmp_path))
    assert await database.answers()
    if database_url is not None:
        other = await Database.open(database_url, str(tmp_path))
        async with other.writing() as connection:
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await other.close()
    assert await database.answers()
    async with database.writing() as connection:
        await connection.exec_driver_sql("SELECT 1")
    await database.close()


async def test_a_node_that_is_suspended_in_a_transaction_does_not_hold_up_the_others(
    empty_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TRANSACTION_SILENCE_SECONDS", 1)
    suspended, other = [await Database.open(empty_postgres, str(tmp_path)) for _ in range(2)]
    await Accounts(other).add_user("ada", None)
    change = sa.update(users).values(password="x")

    async def say_nothing_more() -> None:
        async with suspended.writing() as connection:
            await connection.execute(change)
            with anyio.fail_after(WAIT_SECONDS):
                async with other.writing() as others:
                    await others.execute(change)

    with pytest.raises(DBAPIError):  # its transaction is gone
        await say_nothing_more()
    await close([suspended, other])


@pytest.mark.parametrize("steps", range(12))
async def test_a_statement_whose_caller_is_cancelled_leaves_nothing_that_runs(
    database_url: str | None, tmp_path: Path, steps: int
) -> None:
    database = await Database.open(database_url, str(tmp_path))

    async def read() -> None:
        async with database.reading() as connection:
            await connection.execute(sa.select(users))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert await database.answers()
    await database.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in left if "sqlalchemy" in repr(task)] == []


async def test_what_is_written_is_seen_by_the_next_read_and_nothing_of_what_failed(database: Database) -> None:
    accounts = Accounts(database)
    await accounts.add_user("ada", None)
    with pytest.raises(RequestError):
        await accounts.add_user("ada", None)
    async with database.reading() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(users))).scalar_one() == 1
        await accounts.add_user("ben", None)
        assert (await connection.execute(sa.select(sa.func.count()).select_from(users))).scalar_one() == 2


async def test_the_migrations_lead_to_the_schema(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert threads.metadata is metadata  # its tables are among those that are compared
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar() == LATEST


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str | None, tmp_path: Path) -> None:
    database = await Database.open(database_url, str(tmp_path))
    async with database.writing() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer version"):
        await Database.open(database_url, str(tmp_path))
    assert await database.answers()
    await database.close()


async def test_a_write_that_waits_for_another_process_can_be_cancelled(
    database_url: str | None, tmp_path: Path
) -> None:
    database, other = [await Database.open(database_url, str(tmp_path)) for _ in range(2)]
    accounts = Accounts(other)
    await accounts.add_user("ada", None)
    before = len(asyncio.all_tasks())
    async with database.writing() as connection:
        await connection.execute(sa.update(users).values(created_at=1.0))
        with anyio.move_on_after(0.05) as waiting:
            await accounts.set_password("ada", "hash")
    assert waiting.cancelled_caught
    await accounts.set_password("ada", "another")
    assert await accounts.user("ada") is not None
    assert len(asyncio.all_tasks()) == before
    await close([database, other])
