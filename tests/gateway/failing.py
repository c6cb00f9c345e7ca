"""A database that does not do its part."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.gateway.database.engine import Database


class Failing:
    """A database that cannot be written to the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failed = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the database has
        return getattr(self._database, name)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        if not self.failed:
            self.failed += 1
            raise OSError
        async with self._database.writing() as connection:
            yield connection
