"""The process ends within its bound while another process holds a lock, or a keyring or name server does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.server.serve import SHUTDOWN_SECONDS
from tests.e2e.run import HELLO, WAIT_SECONDS, end_of_input, lines, read_until, request, send, started
from tests.handlers.accounts import store_login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from anyio.abc import Process

    from appserver.testing import FakeBackend

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are others there"),
]

HUNG_SECONDS = 2 * SHUTDOWN_SECONDS
"""After this, a shutdown counts as hung: its bound, and as much again for a loaded machine."""

HOLD = """
import sqlite3, sys
from appserver.auth.stores.atomic_file import PrivateFile

home, what = sys.argv[1:]
if what == "threads.db":
    database = sqlite3.connect(home + "/threads.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
else:
    lock = PrivateFile(home + "/auth.json").lock(what, 0).held()
    lock.__enter__()
print("held", flush=True)
sys.stdin.read()
"""

SILENT_KEYRING = """
import threading

class WinVaultKeyring:
    def get_password(self, service, user):
        threading.Event().wait()
    set_password = delete_password = get_password

WinVaultKeyring.__module__ = "keyring.backends.Windows"  # one that the server uses

def get_keyring():
    return WinVaultKeyring()
"""

SILENT_NAME_SERVER = """
import socket, sys, threading

def getaddrinfo(*args, **kwargs):
    print("looking up", file=sys.stderr, flush=True)
    threading.Event().wait()

socket.getaddrinfo = getaddrinfo
"""

LOGIN = request("login", "account/login/start", type="apiKey", apiKey="sk-test-0123456789")
LOGOUT = request("logout", "account/logout", scope="local")
READ = request("read", "account/read")
REFRESH = request("refresh", "account/read", refreshToken=True)
THREAD = request("thread", "thread/start")

ASKED = {
    "idle": [],
    "login": [LOGIN],
    "logout": [LOGOUT],
    "refresh": [REFRESH],
    "thread": [THREAD],
    "several in a row": [LOGIN, LOGOUT, READ, THREAD] * 6,
    "several of each": [LOGOUT, LOGOUT, LOGIN, LOGIN, REFRESH, REFRESH, THREAD, THREAD, READ],
}


@pytest.fixture
def environ(backend: FakeBackend, home: Path) -> dict[str, str]:
    store_login(home, backend.grant())
    return backend.environ(home)


@asynccontextmanager
async def serving(environ: dict[str, str], *arguments: str) -> AsyncIterator[Process]:
    """A process that has made its database of threads, and is in its event loop."""
    async with started(environ, *arguments) as process:
        await send(process, lines(HELLO, request(1, "account/rateLimits/read"), request(2, "thread/start")))
        said = await read_until(process, b'"id":1')
        await read_until(process, b'"id":2', said)
        yield process


@contextmanager
def held(home: Path, what: str) -> Iterator[None]:
    """Let another process hold a lock."""
    command = [sys.executable, "-c", HOLD, str(home), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


async def ends(process: Process) -> int:
    """Wait, within the bound, until it has ended."""
    assert process.stdout is not None
    with anyio.fail_after(HUNG_SECONDS):
        async with AsyncExitStack() as stack:
            await end_of_input(process)
            stack.push_async_callback(process.wait)
            async for _ in process.stdout:
                pass
    assert process.returncode is not None
    return process.returncode


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("what", ["change", "refresh", "threads.db"])
async def test_a_process_ends_in_time_while_another_holds_a_lock(
    environ: dict[str, str], home: Path, what: str, asked: str
) -> None:
    async with serving(environ) as process:
        with held(home, what):
            await send(process, lines(*ASKED[asked]))
            assert await ends(process) == 0


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("stored", [True, False], ids=["a login is stored", "nobody is signed in"])
async def test_a_process_ends_in_time_while_the_keyring_does_not_answer(
    environ: dict[str, str], home: Path, tmp_path: Path, stored: bool, asked: str
) -> None:
    (tmp_path / "keyring").mkdir()
    (tmp_path / "keyring" / "__init__.py").write_text(SILENT_KEYRING)
    if stored:
        (home / "auth.enc").write_bytes(b"appserverd 1\n" + os.urandom(100))
    told = {**environ, "PYTHONPATH": str(tmp_path)}
    async with started(told, "-c", 'cli_auth_credentials_store="keyring"') as process:
        await send(process, lines(HELLO, *ASKED[asked]))
        await read_until(process, b'"id":0')
        assert await ends(process) == 0


async def test_a_signal_ends_it_as_soon(environ: dict[str, str], home: Path) -> None:
    async with serving(environ) as process:
        with held(home, "change"), held(home, "threads.db"):
            await send(process, lines(*ASKED["several in a row"]))
            process.terminate()
            with anyio.fail_after(HUNG_SECONDS):
                assert await process.wait() == 143


async def test_a_revocation_that_the_issuer_does_not_answer_is_given_up(
    environ: dict[str, str], backend: FakeBackend
) -> None:
    gate = backend.issuer.hold_next(path="/oauth/revoke")
    async with serving(environ) as process:
        await send(process, lines(request("logout", "account/logout")))
        await gate.reached.wait()
        assert await ends(process) == 0
    gate.release()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "NO_PROXY"], ids=["of a proxy", "of the backend"])
async def test_a_lookup_of_a_host_name_that_is_not_answered_is_given_up(
    environ: dict[str, str], backend: FakeBackend, home: Path, tmp_path: Path, variable: str
) -> None:
    backend.write_config(home, chatgpt_base_url="http://model.invalid/backend-api")
    (tmp_path / "sitecustomize.py").write_text(SILENT_NAME_SERVER)
    told = {**environ, "PYTHONPATH": str(tmp_path), variable: "http://proxy.invalid"}
    async with started(told, stderr=subprocess.PIPE) as process:
        await send(process, lines(HELLO, request(1, "account/rateLimits/read")))
        assert process.stderr is not None
        with anyio.fail_after(WAIT_SECONDS):
            while b"looking up" not in await process.stderr.receive():
                pass
        assert await ends(process) == 0
