"""The stores that the kits of tests run on."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from appserver.threads.stores.memory import MemoryThreads
from tests.gateway.postgres import new_database
from tests.threads.slow_store import SlowThreads
from tests.threads.stores.sharing import Home, Nodes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from appserver.threads.stores.base import ThreadStore
    from tests.gateway.postgres import Postgres
    from tests.threads.stores.sharing import Sharing

SHARED = ("threads.db", "gateway.db", "postgresql")
"""Where threads are kept that processes share: in a home, and in the gateway's database of either kind."""


@pytest.fixture(scope="session")
def postgres_of_all(postgres: Postgres) -> Iterator[str]:
    """A database that all tests here share, as its users do: each test has a user of its own."""
    with new_database(postgres.server.url, postgres.template) as url:
        yield url


@pytest.fixture(params=["memory", "slow", *SHARED])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ThreadStore]:
    match request.param:
        case "memory":
            yield MemoryThreads()
        case "slow":
            yield SlowThreads()
        case _:
            async with shared(request, tmp_path) as place:
                yield await place.open()


@pytest.fixture(params=SHARED)
async def sharing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sharing]:
    async with shared(request, tmp_path) as place:
        yield place


@pytest.fixture(params=SHARED[1:])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Nodes]:
    async with shared(request, tmp_path) as place:
        assert isinstance(place, Nodes)
        yield place


@asynccontextmanager
async def shared(request: pytest.FixtureRequest, home: Path) -> AsyncIterator[Home | Nodes]:
    """Make a place of the kind that is asked for, where nothing is kept yet."""
    if request.param == "threads.db":
        place: Home | Nodes = Home(str(home))
    elif request.param == "gateway.db":
        place = Nodes(None, str(home))
    else:
        place = Nodes(request.getfixturevalue("postgres_of_all"), str(home))
    async with place:
        yield place
