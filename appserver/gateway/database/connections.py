"""Connections to either database: from the URL to the pool, and what is done with each one before it is used."""

from __future__ import annotations

import os
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

FILE = "gateway.db"

BUSY_SECONDS = 15
"""What SQLite waits for another process's transaction. Each takes milliseconds."""

TRY_SECONDS = 1.0
"""What a statement of SQLite's waits for that by itself, and holds up a thread."""

RETRY_SECONDS = 0.005
"""Between two tries to begin a transaction."""

POOL_SIZE = 10
"""Connections that a node keeps. A transaction takes milliseconds, and PostgreSQL allows a hundred by default."""

POOL_SECONDS = 15
"""What a transaction waits for one of them."""

IDLE_SECONDS = 1.0
"""After which a connection is asked whether it still lives, before it is used."""

TRANSACTION_SILENCE_SECONDS = 8
"""After which PostgreSQL ends a transaction whose node says nothing more, as it is suspended or cut off: other nodes
wait for the rows that it has locked. Between two statements of a transaction nothing is waited for."""

FAILURES = (SQLAlchemyError, OSError)
"""What a statement can raise where the database does not do its part. A bound that has passed is among them."""

DEFERRED = "deferred"
"""The option of a connection to SQLite that is not going to write."""


def database_url(url: str | None, home: str) -> URL:
    """Return the URL for SQLAlchemy. None: SQLite in the home. Raises ConfigError."""
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


def new_engine(url: URL) -> AsyncEngine:
    """Return an engine for the event loop."""
    engine = create_async_engine(url, **_options(url))
    if url.get_backend_name() == "sqlite":
        _listen_to_sqlite(engine.sync_engine)
    else:
        sa.event.listen(engine.sync_engine, "connect", _end_silent_transactions)
        sa.event.listen(engine.sync_engine, "checkin", _note_use)
        sa.event.listen(engine.sync_engine, "checkout", partial(_ping_if_idle, engine.dialect))
    return engine


def new_file_engine(url: URL) -> Engine:
    """Return an engine for threads, to the same SQLite."""
    engine = sa.create_engine(url.set(drivername="sqlite+pysqlite"), **_options(url))
    _listen_to_sqlite(engine)
    return engine


def is_locked(exc: Exception) -> bool:
    """Whether SQLite has refused a statement because another process writes."""
    return isinstance(exc, DBAPIError) and getattr(exc.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def to_its_end() -> anyio.CancelScope:
    """Return a scope for what runs on SQLite and is not cancelled. It takes milliseconds.

    A cancelled statement would leave a task that waits for ever: SQLAlchemy stops aiosqlite's thread twice, and the
    second stop is not answered. The process would wait for it.
    """
    return anyio.CancelScope(shield=True)


async def once_unlocked(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what an attempt to begin to write to SQLite returns, once no other process writes."""
    deadline = anyio.current_time() + BUSY_SECONDS
    while True:
        try:
            with to_its_end():
                return await attempt()
        except OperationalError as exc:
            if not is_locked(exc) or anyio.current_time() >= deadline:
                raise
        await anyio.sleep(RETRY_SECONDS)


def _options(url: URL) -> dict[str, Any]:
    return {
        "hide_parameters": True,  # an error must not show what is stored
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_SECONDS,
        **({"connect_args": {"timeout": BUSY_SECONDS}} if url.get_backend_name() == "sqlite" else {}),
    }


def _listen_to_sqlite(engine: Engine) -> None:
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)


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
    busy_timeout = f"busy_timeout={TRY_SECONDS * 1000:.0f}"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", busy_timeout):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        # At once: a transaction that begins by reading could not become a writing one while another writes.
        connection.exec_driver_sql("BEGIN" if options.get(DEFERRED) else "BEGIN IMMEDIATE")
