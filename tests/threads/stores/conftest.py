"""The stores that the kits of tests run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.threads.stores.memory import MemoryThreads
from appserver.threads.stores.sqlite.store import SqliteThreads
from tests.threads.slow_store import SlowThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.threads.stores.base import ThreadStore


@pytest.fixture(params=["memory", "sqlite", "slow"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ThreadStore]:
    opened: ThreadStore
    match request.param:
        case "memory":
            opened = MemoryThreads()
        case "sqlite":
            opened = SqliteThreads(str(tmp_path))
        case _:
            opened = SlowThreads()
    yield opened
    await opened.close()
