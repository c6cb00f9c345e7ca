"""Stores in threads.db, as several processes on one home open them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from appserver.threads.stores.sqlite.store import SqliteThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Counting(sqlite3.Connection):
    """Notes every statement."""

    statements: list[str] = []  # noqa: RUF012 - read by the test, of whatever connection

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as it comes
        self.statements.append(sql)
        return super().execute(sql, *values)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., SqliteThreads]]:
    """Open the store once more, as another process would."""
    stores: list[SqliteThreads] = []

    def again(busy_seconds: float = 20) -> SqliteThreads:
        stores.append(SqliteThreads(str(tmp_path / "home"), busy_seconds))
        return stores[-1]

    yield again
    for store in stores:
        await store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "threads.db"


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda *args, **options: connect(*args, factory=Counting, **options))
    monkeypatch.setattr(Counting, "statements", [])
    return Counting.statements
