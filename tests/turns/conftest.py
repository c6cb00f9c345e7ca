"""Stores in threads.db, as several processes on one home open them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.turns.sqlite_store import SqliteThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SqliteThreads]]:
    """Open the store once more, as another process would."""
    stores: list[SqliteThreads] = []

    def again(busy_seconds: float = 20) -> SqliteThreads:
        stores.append(SqliteThreads(str(tmp_path / "home"), busy_seconds))
        return stores[-1]

    yield again
    for store in stores:
        store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "threads.db"
