"""Ways to a server: in this process, and on a socket. The subprocess is what all other tests use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.client import (
    AppServer,
    AsyncAppServer,
    InProcess,
    RestartPolicy,
    ServerGone,
    TurnLost,
    UnixSocket,
    WebSocket,
    tool,
    websocket,
)
from appserver.testing import FakeBackend, Gate, function_call, output, running_backend, stalled, text
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import Process

pytestmark = pytest.mark.anyio

LISTEN_SECONDS = 20.0
"""A server listens within a second; this is for a loaded machine."""

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="Python has no unix sockets there")


@tool
def lookup(ticket: str) -> str:
    """Look up a ticket."""
    return f"{ticket} is open"


async def test_a_server_in_this_process_does_all_that_a_subprocess_does(home: Path, backend: FakeBackend) -> None:
    here = InProcess(home=home, env=backend.environ(home))
    async with AsyncAppServer(here, token_provider=lambda _: backend.grant().access_token, tools=[lookup]) as server:
        assert server.process_id is None
        assert server.info.codex_home == str(home)
        thread = await server.threads.start()
        backend.script(output(function_call("lookup", {"ticket": "A"})), text("It is open."))
        assert (await thread.run("Is A open?")).final_response == "It is open."
        backend.expire_access_tokens()
        assert (await thread.run("Hello")).final_response == "You said: Hello"
    async with AsyncAppServer(here, token_provider=lambda _: backend.grant().access_token) as server:
        again = await server.threads.resume(thread.id)
        assert len((await again.read(include_turns=True)).thread.turns) == 2


async def test_a_running_turn_does_not_keep_the_block_from_ending(home: Path, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    here = InProcess(home=home, env=backend.environ(home))
    async with AsyncAppServer(here, token_provider=lambda _: backend.grant().access_token) as server:
        await (await server.threads.start()).turn("Hello")
        await gate.reached.wait()
    await gate.abandoned.wait()


async def test_an_exception_in_the_block_comes_out_of_a_server_in_this_process(home: Path) -> None:
    with pytest.raises(LookupError, match=r"^as it is$"):
        async with AsyncAppServer(InProcess(home=home)):
            raise LookupError("as it is")


async def test_cancelling_the_block_ends_a_server_in_this_process(home: Path) -> None:
    with anyio.CancelScope() as scope:
        async with AsyncAppServer(InProcess(home=home)):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


def test_the_blocking_client_has_a_server_in_this_process_too(tmp_path: Path) -> None:
    with running_backend() as backend:
        backend.write_config(tmp_path)
        here = InProcess(home=tmp_path, env=backend.environ(tmp_path))
        with AppServer(here, token_provider=lambda _: backend.grant().access_token) as server:
            assert server.threads.start().run("Hello").final_response == "You said: Hello"


async def test_a_configuration_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerGone, match=r"could not be started: .*key=value"):
        async with AsyncAppServer(InProcess(home=tmp_path, config=["nonsense"])):
            raise AssertionError


def test_the_client_imports_no_server_before_it_is_asked_for() -> None:
    names = (
        "[name for name in sys.modules if name.startswith(('appserver.server', 'appserver.llm', 'httpx', 'pydantic'))]"
    )
    script = f"import sys, appserver.client; print({names})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture
async def listening(home: Path, backend: FakeBackend) -> AsyncIterator[Listening]:
    with tempfile.TemporaryDirectory() as directory:  # the test's own has too long a name for a socket
        server = Listening(home, backend, os.path.join(directory, "s"))
        await server.start()
        yield server
        await server.end()


class Listening:
    """A server that listens on a unix socket, and for WebSocket clients."""

    def __init__(self, home: Path, backend: FakeBackend, path: str) -> None:
        self._home, self._backend = home, backend
        self.path = path
        self.process: Process
        self.url, self.token = "", ""

    async def start(self) -> None:
        where = ["--listen", f"unix://{self.path}", "--listen", "ws://127.0.0.1:0"]
        command = [sys.executable, "-m", "appserver", "app-server", *where]
        environ = {**os.environ, **self._backend.environ(self._home)}
        self.process = await anyio.open_process(command, env=environ, stdout=subprocess.PIPE, stderr=None)
        assert self.process.stdout is not None
        with anyio.fail_after(LISTEN_SECONDS):
            told = json.loads(await self.process.stdout.receive())
        self.url, self.token = told["listening"][-1], told["token"]

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.aclose()


@unix_only
async def test_clients_share_a_server_that_listens_on_a_socket(backend: FakeBackend, listening: Listening) -> None:
    way = UnixSocket(listening.path)
    async with (
        AsyncAppServer(way, token_provider=lambda _: backend.grant().access_token) as first,
        AsyncAppServer(way) as second,
    ):
        assert (await second.account.read()).account is not None
        thread = await first.threads.start()
        follower = await second.threads.resume(thread.id)
        async with second.notifications(thread_id=thread.id) as told:
            await thread.run("Hello")
            assert (await told.next()).to_wire()["threadId"] == follower.id
    assert listening.process.returncode is None


@unix_only
async def test_a_client_joins_the_next_server_on_the_socket(backend: FakeBackend, listening: Listening) -> None:
    policy = RestartPolicy(times=200, first_delay=0.05, longest_delay=0.05)
    gate = Gate()
    async with AsyncAppServer(
        f"unix://{listening.path}", restart=policy, token_provider=lambda _: backend.grant().access_token
    ) as server:
        thread = await server.threads.start()
        backend.script(stalled(gate, "Hel"))
        turn = await thread.turn("Hello")
        await gate.reached.wait()
        listening.process.kill()
        await listening.process.wait()
        with pytest.raises(TurnLost, match="connection to the app-server was lost"):
            await turn.run()
        await listening.end()
        await listening.start()
        assert (await thread.run("Again")).final_response == "You said: Again"


@unix_only
async def test_a_client_speaks_websocket(backend: FakeBackend, listening: Listening) -> None:
    way = WebSocket(listening.url, Secret(listening.token))
    async with AsyncAppServer(way, token_provider=lambda _: backend.grant().access_token, tools=[lookup]) as server:
        thread = await server.threads.start()
        backend.script(output(function_call("lookup", {"ticket": "A"})), text("It is open."))
        assert (await thread.run("Is A open? " + "x" * 100_000)).final_response == "It is open."
    assert listening.process.returncode is None


@unix_only
async def test_a_websocket_that_is_lost_loses_its_turn(backend: FakeBackend, listening: Listening) -> None:
    async with AsyncAppServer(WebSocket(listening.url, listening.token)) as server:
        await server.account.login_api_key("sk-test-key")
        thread = await server.threads.start()
        backend.script(stalled(Gate(), "Hel"))
        turn = await thread.turn("Hello")
        listening.process.kill()
        with pytest.raises(TurnLost):
            await turn.run()


@unix_only
async def test_a_client_without_the_token_is_refused_and_told(listening: Listening) -> None:
    for client in (AsyncAppServer(listening.url), AsyncAppServer(WebSocket(listening.url, "wrong-token"))):
        with pytest.raises(ServerGone, match=r"has refused: .*401") as refused:
            async with client:
                raise AssertionError
        assert "wrong-token" not in refused.value.message


async def test_a_port_without_a_server_is_named() -> None:
    for url in ("ws://127.0.0.1:9", "ws://127.0.0.1:99999", "ws://"):
        with pytest.raises(ServerGone, match="no app-server can be reached"):
            async with AsyncAppServer(url):
                raise AssertionError


async def test_a_server_that_does_not_answer_the_handshake_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HANDSHAKE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServerGone, match=r"no answer within 0\.1s"):
        async with AsyncAppServer(f"ws://127.0.0.1:{silent.getsockname()[1]}"):
            raise AssertionError


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in repr(WebSocket("ws://127.0.0.1:1", "secret-token"))


@unix_only
async def test_a_socket_without_a_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerGone, match=r"nowhere\.sock: no app-server can be reached"):
        async with AsyncAppServer(UnixSocket(tmp_path / "nowhere.sock")):
            raise AssertionError


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reached at unix://.* and ws://"):
        AsyncAppServer("http://localhost")
