from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.gateway.database.engine import Database
from protocol.base import Secret
from tests.gateway.postgres import new_database
from tests.gateway.rig import Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.gateway.postgres import Postgres


@pytest.fixture
async def api(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Running]:
    """A gateway whose user has an API key of the platform: no parameter is dropped."""
    key = Secret("sk-of-the-platform")
    async with running_gateway(backend, home, database_url=database_url, openai_api_key=key) as running:
        yield running


@pytest.fixture
async def chatgpt(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Running]:
    """A gateway whose user is signed in to ChatGPT."""
    async with running_gateway(backend, home, backend.grant(), database_url=database_url) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """A database of either kind with nobody in it; None: SQLite in the home."""
    if request.param == "sqlite":
        yield None
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with new_database(postgres.server.url, postgres.template) as url:
        yield url


@pytest.fixture
def empty_postgres(postgres: Postgres) -> Iterator[str]:
    """A database in PostgreSQL without a schema."""
    with new_database(postgres.server.url) as url:
        yield url


@pytest.fixture
async def database(database_url: str | None, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, str(tmp_path / "database"))
    yield opened
    await opened.close()
