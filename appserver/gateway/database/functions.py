"""Functions of several statements, each in one transaction: what reads or writes a thread takes some.

On PostgreSQL the statements are made in the event loop. On SQLite each would be handed over to a thread three times, so
there the whole function runs in one. A function that reads runs in a thread in any case: it may decode a lot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from anyio import from_thread, to_thread

from appserver.gateway.database.connections import DEFERRED, new_file_engine, once_unlocked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import anyio
    import sqlalchemy as sa
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Row = tuple[Any, ...]
    Query = sa.Select[Any] | sa.CompoundSelect[Any]
    Parameters = Mapping[str, object]
    Rows = Callable[[Query, Parameters], list[Row]]

T = TypeVar("T")


class Functions(Protocol):
    """Runs them. Raises what they raise, and what the database does."""

    async def read(self, function: Callable[[Rows], T]) -> T:
        """Return what a function makes of rows, all of them as of one moment. It gets what reads the rows."""

    async def write(self, function: Callable[[sa.Connection], T], committing: Callable[[], object]) -> T:
        """Return what a function returns, once it is committed.

        `committing` is called before the database is asked to commit where its answer can get lost. SQLite's cannot.
        """

    async def close(self) -> None:
        """Close what is open."""


class PostgresFunctions:
    """Over the connections of the event loop's engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writing = engine
        self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def read(self, function: Callable[[Rows], T]) -> T:
        async with self._reading.begin() as connection:

            def rows(query: Query, parameters: Parameters) -> list[Row]:
                return from_thread.run(_rows, connection, query, parameters)

            return await to_thread.run_sync(function, rows)

    async def write(self, function: Callable[[sa.Connection], T], committing: Callable[[], object]) -> T:
        async with self._writing.begin() as connection:
            result = await connection.run_sync(function)
            committing()
        return result

    async def close(self) -> None:
        pass  # the engine is closed by its owner


class SqliteFunctions:
    """Over connections of their own."""

    def __init__(self, url: URL, writer: anyio.Lock) -> None:
        """`writer`: held by what writes."""
        self._writing = new_file_engine(url)
        self._reading = self._writing.execution_options(**{DEFERRED: True})
        self._writer = writer

    async def read(self, function: Callable[[Rows], T]) -> T:
        return await to_thread.run_sync(self._read, function)  # which ends before it is cancelled

    async def write(self, function: Callable[[sa.Connection], T], committing: Callable[[], object]) -> T:
        async with self._writer:
            return await once_unlocked(lambda: to_thread.run_sync(self._write, function))

    async def close(self) -> None:
        self._writing.dispose()

    def _read(self, function: Callable[[Rows], T]) -> T:
        with self._reading.begin() as connection:
            return function(lambda query, parameters: [tuple(row) for row in connection.execute(query, parameters)])

    def _write(self, function: Callable[[sa.Connection], T]) -> T:
        with self._writing.begin() as connection:
            return function(connection)


async def _rows(connection: AsyncConnection, query: Query, parameters: Parameters) -> list[Row]:
    return [tuple(row) for row in await connection.execute(query, parameters)]
