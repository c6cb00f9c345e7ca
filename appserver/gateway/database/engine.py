"""The database: its URL, its transactions, its clock, and a schema that the first node to start brings up to date."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from appserver.errors import ConfigError
from appserver.gateway.database.connections import FAILURES, database_url, new_engine, once_unlocked, to_its_end
from appserver.gateway.database.expressions import Now
from appserver.gateway.database.functions import PostgresFunctions, SqliteFunctions
from appserver.gateway.database.migrations import LATEST
from appserver.gateway.database.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appserver.gateway.database.functions import Functions

MIGRATION_LOCK = 0x6170_7073_7276
"""PostgreSQL's advisory lock under which one node migrates."""


class Database:
    """One of a node."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._prepared: list[Prepared] = []
        self.is_postgres = engine.dialect.name == "postgresql"
        self._writer = anyio.Lock(fast_acquire=True)
        """Held by what writes to SQLite: the lock between processes knows no order, and has to be asked for again."""
        self.functions: Functions = (
            PostgresFunctions(engine) if self.is_postgres else SqliteFunctions(engine.url, self._writer)
        )

    @classmethod
    async def open(cls, url: str | None, home: str) -> Database:
        """Open the database, and bring its schema up to date. Raises ConfigError."""
        database = cls(new_engine(database_url(url, home)))
        try:
            await database._migrate()
        except ConfigError:
            await database.close()
            raise
        except (DBAPIError, OSError) as exc:
            await database.close()
            raise ConfigError(f"The database cannot be used: {type(exc).__name__}") from exc
        return database

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for statements that change nothing. Each sees what is committed when it begins."""
        with nullcontext() if self.is_postgres else to_its_end():
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction, committed at the end of the block. On SQLite it is the only one that writes."""
        if self.is_postgres:
            async with self._engine.begin() as connection:
                yield connection
            return
        async with self._writer:
            transaction = AsyncExitStack()
            connection = await once_unlocked(lambda: transaction.enter_async_context(self._engine.begin()))
            with to_its_end():
                async with transaction:
                    yield connection

    async def answers(self) -> bool:
        """Whether the database can be asked."""
        try:
            async with self.reading() as connection:
                await connection.execute(sa.select(1))
        except FAILURES:
            return False
        return True

    @property
    def now(self) -> sa.ColumnElement[float]:
        """The time that all nodes go by, in Unix seconds: that of the database's clock."""
        return Now()

    def insert(self, table: sa.Table) -> Any:  # noqa: ANN401 - of either dialect; both have on_conflict_do_update
        """Return an INSERT that can become an update where the row is there."""
        dialect = postgresql if self.is_postgres else sqlite
        return dialect.insert(table)

    def prepared(self, query: sa.Select[Any], parameter: str) -> Prepared:
        """Return a SELECT of at most one row that is going to be run with every request."""
        self._prepared.append(Prepared(self._engine.url, self._engine.dialect, query, parameter))
        return self._prepared[-1]

    async def close(self) -> None:
        """Close all connections."""
        for one in self._prepared:
            await one.close()
        await self.functions.close()
        await self._engine.dispose()

    async def _migrate(self) -> None:
        async def revision() -> object:
            async with self.reading() as connection:
                return await connection.run_sync(_revision)

        if await once_unlocked(revision) == LATEST:
            return
        from appserver.gateway.database.upgrade import upgrade  # late: Alembic takes longer to import than to say so

        async with self.writing() as connection:
            if self.is_postgres:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            await connection.run_sync(upgrade)


def _revision(connection: sa.Connection) -> object:
    """Return what the schema's revision is. None: there is no schema."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
