"""What every test shares: the event loop, a fake backend, and a server on either end of a pipe or of memory."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from appserver.settings import load_settings
from appserver.testing import FakeBackend
from tests.peer import Peer, in_memory, subprocess_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.gateway.postgres import Postgres

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background job. The processes that tests start would inherit it, and some are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class ServerFactory(Protocol):
    """Starts a server on the home of this test and connects a peer to it."""

    def __call__(self, *overrides: str, initialize: bool = True) -> AbstractAsyncContextManager[Peer]: ...


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def backend() -> AsyncIterator[FakeBackend]:
    async with FakeBackend() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, backend: FakeBackend) -> Path:
    """A home whose config.toml points at the fake backend."""
    directory = tmp_path / "home"
    directory.mkdir()
    backend.write_config(directory)
    return directory


@pytest.fixture
def server(home: Path, backend: FakeBackend) -> ServerFactory:
    """Start a server in this process: `async with server("key=value") as peer`."""

    def start(*overrides: str, initialize: bool = True) -> AbstractAsyncContextManager[Peer]:
        return in_memory(load_settings(backend.environ(home), overrides), initialize=initialize)

    return start


@pytest.fixture
def process(home: Path, backend: FakeBackend) -> ServerFactory:
    """Start a server as a subprocess over pipes: `async with process("key=value") as peer`."""

    def start(*overrides: str, initialize: bool = True) -> AbstractAsyncContextManager[Peer]:
        return subprocess_peer(backend.environ(home), overrides, initialize=initialize)

    return start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, and a database there with the schema of now."""
    from tests.gateway.postgres import prepared_postgres  # late: most tests need no database

    with prepared_postgres() as found:
        if found is None:
            pytest.skip("PostgreSQL is not installed")
        yield found


@pytest.fixture
def callback_ports() -> Iterator[None]:
    """Hold the fixed callback ports 1455 and 1457 for one test at a time, across processes."""
    with (Path(tempfile.gettempdir()) / "appserver-callback-ports.lock").open("a") as lock:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
