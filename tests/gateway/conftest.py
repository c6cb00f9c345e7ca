from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.gateway.database.engine import Database
from protocol.base import Secret
from tests.gateway.postgres import new_database, programs, running_postgres
from tests.gateway.rig import Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend


@pytest.fixture
async def api(backend: FakeBackend, home: Path) -> AsyncIterator[Running]:
    """A gateway whose user has an API key of the platform: no parameter is dropped."""
    async with running_gateway(backend, home, openai_api_key=Secret("sk-of-the-platform")) as running:
        yield running


@pytest.fixture
async def chatgpt(backend: FakeBackend, home: Path) -> AsyncIterator[Running]:
    """A gateway whose user is signed in to ChatGPT."""
    async with running_gateway(backend, home, backend.grant()) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(found) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """An empty database of either kind; None: SQLite in the home."""
    return None if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def database(database_url: str | None, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, str(tmp_path / "database"))
    yield opened
    await opened.close()
