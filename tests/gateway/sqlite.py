"""A database in SQLite with the schema of now and nobody in it: to copy it is quicker than to migrate."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from appserver.gateway.database.connections import FILE
from tests.gateway.postgres import migrate


def write_database(home: Path) -> None:
    """Write it into a home that has none."""
    path = home / FILE
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_template())


@cache
def _template() -> bytes:
    with TemporaryDirectory() as home:
        migrate(None, home)
        return (Path(home) / FILE).read_bytes()
