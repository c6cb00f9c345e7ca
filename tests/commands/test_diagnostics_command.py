"""`appserver diagnostics`, with a server that runs and without one."""

from __future__ import annotations

import re
import socket
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from appserver.transport.unix_path import default_path
from tests.listening import listening, unix_peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend
    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio

with_sockets = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no unix sockets")


@pytest.fixture
def home(backend: FakeBackend) -> Iterator[Path]:
    """A home with a path that is short enough for a socket in it."""
    with TemporaryDirectory() as directory:
        backend.write_config(Path(directory))
        yield Path(directory)


async def test_without_a_server_a_fresh_one_is_told_of(appserver: CommandLine) -> None:
    done = await appserver("diagnostics")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "Server            none is running; this is a fresh one"
    assert f"Home              {appserver.home}" in done.lines
    assert "Turns running     0" in done.lines
    told = (await appserver("diagnostics", "--json")).json
    assert (told["running"], told["connections"], told["home"]) == (False, [], str(appserver.home))


@with_sockets
async def test_a_server_that_runs_is_asked(appserver: CommandLine) -> None:
    path = default_path(str(appserver.home))
    async with listening(appserver.environ, "--listen", "unix://") as running, unix_peer(path, "editor"):
        done = await appserver("diagnostics")
        told = (await appserver("diagnostics", "--json", "--sock", path)).json
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"Server            process \d+, at {re.escape(path)}", done.lines[0])
    assert [line.split()[1] for line in done.lines[-2:]] == ["editor", "appserver-diagnostics"]
    assert told["process"]["id"] == running.process.pid
    assert told["running"]
    assert told["longestLoopPauseMs"] >= 0


@with_sockets
async def test_a_socket_that_nobody_listens_at_is_an_error_where_it_was_asked_for(appserver: CommandLine) -> None:
    path = appserver.home / "nobody"
    done = await appserver("diagnostics", "--sock", str(path))
    assert (done.code, done.out, done.err) == (1, "", f"appserver: {path}: no server is listening there\n")


async def test_what_answers_and_is_no_server_is_told(appserver: CommandLine) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no unix sockets")
    with TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/other"
        listener.bind(path)
        listener.listen()

        def hang_up() -> None:
            connected, _ = listener.accept()
            connected.recv(10)
            connected.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = await appserver("diagnostics", "--sock", path)
        thread.join()
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"appserver: {path}: the server does not answer")
