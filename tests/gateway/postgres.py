"""A PostgreSQL of the tests' own, from the system's packages: one server for a run, a database for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anyio.from_thread import start_blocking_portal
from sqlalchemy.ext.asyncio import create_async_engine

from appserver.gateway.database.engine import Database
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

USER = "postgres"
"""The system's user that runs it: it refuses to run as root."""

START_SECONDS = 60


class Server(NamedTuple):
    """A server that runs."""

    url: str
    """Without a database's name."""
    pid: int


class Postgres(NamedTuple):
    """A server, and what its databases are made from."""

    server: Server
    template: str
    """The name of a database with the schema of now and nobody in it: to copy it is quicker than to migrate."""


@contextmanager
def prepared_postgres() -> Iterator[Postgres | None]:
    """Run a server with a database to copy. None: it is not installed."""
    bin_dir = programs()
    if bin_dir is None:
        yield None
        return
    with running_postgres(bin_dir) as server, new_database(server.url) as template:
        migrate(template)
        yield Postgres(server, template.rpartition("/")[2])


def programs() -> Path | None:
    """Return where the newest installed server's programs are, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    return Path(on_path).parent if on_path else None


@contextmanager
def running_postgres(bin_dir: Path) -> Iterator[Server]:
    """Run a server."""
    as_user = ["runuser", "-u", USER, "--"] if sys.platform != "win32" and os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        if as_user:
            shutil.chown(directory, USER)
        data, port = f"{directory}/data", free_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory}"
        fast = "-c fsync=off -c full_page_writes=off -c max_connections=200"  # what the tests store need not last
        control = [*as_user, str(bin_dir / "pg_ctl"), "-D", data, "-s", "-w", "-t", str(START_SECONDS)]
        make = [str(bin_dir / "initdb"), "-D", data, "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"]
        _run([*as_user, *make])
        _run([*control, "-l", f"{directory}/log", "-o", f"{options} {fast}", "start"])
        try:
            pid = int(Path(data, "postmaster.pid").read_text("ascii").split()[0])
            yield Server(f"postgresql://gateway@127.0.0.1:{port}", pid)
        finally:
            _run([*control, "-m", "immediate", "stop"])


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """Make a database like another one, yield its URL, and drop it."""
    name = f"gateway_{uuid.uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield f"{server}/{name}"
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def migrate(url: str | None, home: str = "") -> None:
    """Bring a database's schema up to date. None: SQLite in the home."""

    async def opened() -> None:
        await (await Database.open(url, home)).close()

    _in_a_loop_of_its_own(opened)


def _execute(server: str, statement: str) -> None:
    async def execute() -> None:
        engine = create_async_engine(f"{server}/postgres".replace("://", "+asyncpg://"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)
        await engine.dispose()

    _in_a_loop_of_its_own(execute)


def _in_a_loop_of_its_own(call: Callable[[], Awaitable[None]]) -> None:
    """Fixtures are synchronous, because tests without an event loop need them, too; others have one already."""
    with start_blocking_portal() as portal:
        portal.call(call)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS, cwd="/")
