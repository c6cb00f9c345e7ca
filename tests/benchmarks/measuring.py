"""What a measurement is: where it takes place, and what it brings."""

from __future__ import annotations

import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.server import disk_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.benchmarks.backend import BackendProcess
    from tests.benchmarks.server import Program, Server

Figures = dict[str, float]
"""What was measured, named with its unit."""


class Site(NamedTuple):
    """Where measurements take place."""

    backend: BackendProcess
    homes: Path
    """Homes that are to be used again are made here."""

    @asynccontextmanager
    async def server(self, program: Program, home: Path | None = None) -> AsyncIterator[Server]:
        """Start a server, on a new home unless one is given."""
        with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as directory:
            async with running(program, home or Path(directory), self.backend.url) as server:
                yield server


class Row(NamedTuple):
    """One measurement. Rows of one group differ in size alone, so that it shows how a figure grows with it."""

    group: str
    size: int
    unit: str
    measure: Callable[[Site, Program, int], Awaitable[Figures]]


class Meter:
    """What a server takes for something, from the making of this object on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._disk = disk_of(server.home)
        self._cpu = server.used().cpu
        self._began = time.perf_counter()

    def read(self, what: str) -> Figures:
        """Return time and CPU."""
        seconds = time.perf_counter() - self._began
        return {f"{what}: time, s": seconds, f"{what}: CPU, s": self._server.used().cpu - self._cpu}

    def peak(self) -> Figures:
        """Return the most memory that the process has ever had."""
        return {"peak memory, MB": self._server.used().peak}

    def disk(self, what: str) -> Figures:
        """Return by how much the home has grown."""
        return {f"{what}, MB": disk_of(self._server.home) - self._disk}
