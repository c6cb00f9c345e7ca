"""The database: its URL, its transactions, its clock, and a schema that the first node to start brings up to date."""

from __future__ import annotations

import logging
import os
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from appserver.errors import ConfigError
from appserver.gateway.database.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

FILE = "gateway.db"

BUSY_SECONDS = 15
"""What SQLite waits for another process's transaction. Each takes milliseconds."""

POOL_SIZE = 10
"""Connections that a node keeps. A transaction takes milliseconds, and PostgreSQL allows a hundred by default."""

POOL_SECONDS = 15
"""What a transaction waits for one of them."""

IDLE_SECONDS = 1.0
"""After which a connection is asked whether it still lives, before it is used."""

TRANSACTION_SILENCE_SECONDS = 8
"""After which PostgreSQL ends a transaction whose node says nothing more, as it is suspended or cut off: other nodes
wait for the rows that it has locked. Between two statements of a transaction nothing is waited for."""

UNIX_EPOCH, DAY_SECONDS = 2440587.5, 86_400.0
"""As a Julian day, which SQLite's clock tells in all versions; and what turns days into seconds."""

MIGRATION_LOCK = 0x6170_7073_7276
"""PostgreSQL's advisory lock under which one node migrates."""


class Database:
    """One of a node."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._prepared: list[Prepared] = []
        self.is_postgres = engine.dialect.name == "postgresql"

    @classmethod
    async def open(cls, url: str | None, home: str) -> Database:
        """Open the database, and bring its schema up to date. Raises ConfigError."""
        database = cls(_engine(_url(url, home)))
        try:
            await database._migrate()
        except (DBAPIError, OSError) as exc:
            await database.close()
            raise ConfigError(f"The database cannot be used: {type(exc).__name__}") from exc
        return database

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for statements that change nothing. Each sees what is committed when it begins."""
        with self._to_its_end():
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction, committed at the end of the block. On SQLite it is the only one that writes."""
        with self._to_its_end():
            async with self._engine.begin() as connection:
                yield connection

    async def answers(self) -> bool:
        """Whether the database can be asked."""
        try:
            async with self.reading() as connection:
                await connection.execute(sa.select(1))
        except (SQLAlchemyError, OSError):
            return False
        return True

    @property
    def now(self) -> sa.ColumnElement[float]:
        """The time that all nodes go by, in Unix seconds: that of the database's clock."""
        if self.is_postgres:
            return sa.extract("epoch", sa.func.clock_timestamp()).cast(sa.Double)
        return (sa.func.julianday("now") - UNIX_EPOCH) * DAY_SECONDS

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
        await self._engine.dispose()

    def _to_its_end(self) -> anyio.CancelScope:
        """Return a scope for a transaction, which on SQLite is not cancelled.

        It takes milliseconds, and BUSY_SECONDS at most. A cancelled statement would leave a task that waits for ever:
        SQLAlchemy stops aiosqlite's thread twice, and the second stop is not answered. The process would wait for it.
        """
        return anyio.CancelScope(shield=not self.is_postgres)

    async def _migrate(self) -> None:
        async with self.writing() as connection:
            if self.is_postgres:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _url(url: str | None, home: str) -> URL:
    if not url:
        os.makedirs(home, mode=0o700, exist_ok=True)
        path = os.path.join(home, FILE)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's other files take its mode
        return make_url("sqlite+aiosqlite:///").set(database=path)
    try:
        given = make_url(url)
    except ArgumentError:
        raise ConfigError("GATEWAY_DATABASE_URL is no URL") from None
    if given.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError("GATEWAY_DATABASE_URL: only postgresql:// is served; without the variable, SQLite")
    query = dict(given.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")  # asyncpg's name of libpq's parameter
    return given.set(drivername="postgresql+asyncpg", query=query)


def _engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=True,  # an error must not show what is stored
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        **({"connect_args": {"timeout": BUSY_SECONDS}} if url.get_backend_name() == "sqlite" else {}),
    )
    if url.get_backend_name() == "sqlite":
        sa.event.listen(engine.sync_engine, "connect", _prepare)
        sa.event.listen(engine.sync_engine, "begin", _begin)
    else:
        sa.event.listen(engine.sync_engine, "connect", _end_silent_transactions)
        sa.event.listen(engine.sync_engine, "checkin", _note_use)
        sa.event.listen(engine.sync_engine, "checkout", partial(_ping_if_idle, engine.dialect))
    return engine


def _end_silent_transactions(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
    # By a statement: PgBouncer refuses connections that have it among their start-up parameters.
    setting = f"SET idle_in_transaction_session_timeout = '{TRANSACTION_SILENCE_SECONDS}s'"
    connection.run_async(lambda driver: driver.execute(setting))


def _note_use(_: object, record: Any) -> None:  # noqa: ANN401 - the pool's
    record.info["used"] = time.monotonic()


def _ping_if_idle(dialect: sa.Dialect, connection: Any, record: Any, _: object) -> None:  # noqa: ANN401 - the driver's
    """Have the pool replace a connection that was lost while it was idle; before every use, it would double a read."""
    if time.monotonic() - record.info.get("used", 0.0) > IDLE_SECONDS and not _answers(dialect, connection):
        raise DisconnectionError


def _answers(dialect: sa.Dialect, connection: Any) -> bool:  # noqa: ANN401 - the driver's
    try:
        return dialect.do_ping(connection)
    except dialect.dbapi.Error:  # type: ignore[union-attr] # a dialect of an engine has its driver
        return False


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
    connection.isolation_level = None  # transactions are begun by us: the driver would begin none for a SELECT
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # At once: a transaction that begins by reading could not become a writing one while another writes.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
