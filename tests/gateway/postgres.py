"""A PostgreSQL of the tests' own, from the system's packages: one server for a run, a database for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "postgres"
"""The system's user that runs it: it refuses to run as root."""

START_SECONDS = 60


def programs() -> Path | None:
    """Return where the newest installed server's programs are, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    return Path(on_path).parent if on_path else None


@contextmanager
def running_postgres(bin_dir: Path) -> Iterator[str]:
    """Run a server, and yield the URL of it without a database's name."""
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        if as_user:
            shutil.chown(directory, USER)
        data, port = f"{directory}/data", _free_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory}"
        fast = "-c fsync=off -c full_page_writes=off -c max_connections=200"  # what the tests store need not last
        control = [*as_user, str(bin_dir / "pg_ctl"), "-D", data, "-s", "-w", "-t", str(START_SECONDS)]
        make = [str(bin_dir / "initdb"), "-D", data, "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"]
        _run([*as_user, *make])
        _run([*control, "-l", f"{directory}/log", "-o", f"{options} {fast}", "start"])
        try:
            yield f"postgresql://gateway@127.0.0.1:{port}"
        finally:
            _run([*control, "-m", "immediate", "stop"])


def new_database(server: str) -> str:
    """Make a database and return its URL."""
    name = f"gateway_{uuid.uuid4().hex}"
    _run(["psql", "-q", "-X", f"{server}/postgres", "-c", f"CREATE DATABASE {name}"])
    return f"{server}/{name}"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS, cwd="/")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
