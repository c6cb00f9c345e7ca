"""One SELECT that every request costs, without what SQLAlchemy does around it: a fifth of the CPU, and one round trip.

The statement is still SQLAlchemy's, so it is written once for both databases. It runs outside of a transaction, over
connections of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine import URL, Dialect

POOL_SIZE = 4
"""Connections to PostgreSQL: each is taken for a millisecond."""

SECONDS = 15.0
"""What the database gets to answer."""


class DatabaseDown(Exception):
    """The database does not answer, or not in time."""


class Prepared:
    """A SELECT of at most one row, with one parameter."""

    def __init__(self, url: URL, dialect: Dialect, query: sa.Select[Any], parameter: str) -> None:
        compiled = query.compile(dialect=dialect)
        names = list(compiled.positiontup or ())
        values = compiled.construct_params({parameter: None})
        self._sql = str(compiled)
        self._arguments = [values[name] for name in names]
        self._place = names.index(parameter)
        self._url = url
        self._is_postgres = dialect.name == "postgresql"
        self._opening = anyio.Lock()
        self._driver: Any = None  # asyncpg's pool, or aiosqlite's connection

    async def one(self, value: object) -> tuple[Any, ...] | None:
        """Return the row for a value of the parameter. Raises DatabaseDown."""
        arguments = [*self._arguments]
        arguments[self._place] = value
        try:
            with anyio.fail_after(SECONDS):
                return await self._row(self._driver or await self._open(), arguments)
        except Exception as exc:  # each driver has its own errors
            raise DatabaseDown(type(exc).__name__) from exc

    async def _row(self, driver: Any, arguments: list[Any]) -> tuple[Any, ...] | None:  # noqa: ANN401 - either driver's
        if self._is_postgres:
            row = await driver.fetchrow(self._sql, *arguments)
            return None if row is None else tuple(row)
        for found in await driver.execute_fetchall(self._sql, arguments):
            return tuple(found)
        return None

    async def close(self) -> None:
        """Close the connections."""
        if self._driver is not None:
            await self._driver.close()

    async def _open(self) -> Any:  # noqa: ANN401 - either driver's
        async with self._opening:  # two that come first must not both connect
            if self._driver is None:
                self._driver = await self._connected()
        return self._driver

    async def _connected(self) -> Any:  # noqa: ANN401 - either driver's
        if self._is_postgres:
            import asyncpg

            url = self._url.set(drivername="postgresql", query={})
            dsn = url.render_as_string(hide_password=False)
            ssl = self._url.query.get("ssl")
            return await asyncpg.create_pool(dsn, min_size=1, max_size=POOL_SIZE, ssl=ssl, reset=_left_alone)
        import aiosqlite

        return await aiosqlite.connect(self._url.database or "", isolation_level=None, timeout=SECONDS)


async def _left_alone(connection: object) -> None:
    """Reset nothing when a connection goes back to the pool: a SELECT leaves nothing, and a reset is a round trip."""
