"""The database is opened by one node, or by many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.errors import ConfigError
from appserver.gateway.database.engine import Database

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
