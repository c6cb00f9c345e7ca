"""A server that listens at a unix socket: who may come, what ends it, and the ways to reach it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from appserver.testing import Gate, stalled
from appserver.transport.unix_path import default_path
from tests.e2e.run import HELLO
from tests.listening import listening, peer_over, started, unix_peer
from tests.peer import WAIT_SECONDS, Peer, process_peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend

if sys.platform == "win32":
    pytest.skip("Windows has no unix sockets", allow_module_level=True)

pytestmark = pytest.mark.anyio

NOBODY = 65534
"""A user with no rights."""


@pytest.fixture
def home(backend: FakeBackend) -> Iterator[Path]:
    """A home with a path that is short enough for a socket in it."""
    with TemporaryDirectory() as directory:
        backend.write_config(Path(directory))
        yield Path(directory)


@pytest.fixture
def environ(home: Path, backend: FakeBackend) -> dict[str, str]:
    return backend.environ(home)


@pytest.fixture
def path(home: Path) -> str:
    """Where the socket of the home is."""
    return default_path(str(home))


def proxy(*words: str) -> list[str]:
    return [sys.executable, "-m", "appserver", "proxy", *words]


async def test_a_server_on_stdio_alone_imports_nothing_of_this(environ: dict[str, str]) -> None:
    code = "import atexit, os, sys; atexit.register(lambda: os.write(2, ' '.join(sys.modules).encode())); "
    code += "from appserver.cli import main; main()"
    start = {"id": 2, "method": "thread/start", "params": {}}
    requests = b"".join(json.dumps(one).encode() + b"\n" for one in (HELLO, start))
    command = [sys.executable, "-c", code, "app-server"]
    ended = await anyio.run_process(command, input=requests, env={**os.environ, **environ})
    imported = set(ended.stderr.decode().split())
    assert "appserver.handlers.thread" in imported, "it has served"
    known = {"appserver.transport.stdio", "appserver.transport.base", "appserver.transport.framing"}
    transports = {name for name in imported if name.startswith("appserver.transport.")}
    assert transports <= known
    assert not imported & {"websockets", "appserver.server.arrivals", "appserver.server.listening"}


async def test_two_clients_share_an_account(environ: dict[str, str], path: str, backend: FakeBackend) -> None:
    async with listening(environ, "--listen", "unix://"), unix_peer(path, "one") as one, unix_peer(path, "two") as two:
        await one.login_with_tokens(backend.grant().access_token)
        await two.notification("account/updated", authMode="chatgptAuthTokens")
        assert (await two.turn(await two.start_thread()))["status"] == "completed"


async def test_a_second_server_is_refused_with_the_name_of_the_socket(environ: dict[str, str], path: str) -> None:
    async with listening(environ, "--listen", "unix://"):
        command = [sys.executable, "-m", "appserver", "app-server", "--listen", "unix://"]
        second = await anyio.run_process(command, env={**os.environ, **environ}, check=False)
        assert second.returncode == 1
        assert f"{path}: another server is listening there" in second.stderr.decode()
        async with unix_peer(path) as peer:
            assert "account" in await peer.result("account/read")


async def test_a_server_that_was_killed_leaves_nothing_in_the_way_of_the_next(
    environ: dict[str, str], path: str
) -> None:
    async with listening(environ, "--listen", "unix://") as killed:
        killed.process.kill()
        await killed.ended()
    assert Path(path).is_socket()
    async with listening(environ, "--listen", "unix://"), unix_peer(path) as peer:
        assert "account" in await peer.result("account/read")
    assert not Path(path).exists()


async def test_running_turns_end_with_the_server(environ: dict[str, str], path: str, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "never ends"))
    async with listening(environ, "--listen", "unix://") as server, unix_peer(path) as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        server.process.send_signal(signal.SIGTERM)
        assert (await peer.finished_turn(turn))["status"] == "interrupted"
        await peer.ended()
        assert await server.ended() == 128 + signal.SIGTERM


async def test_a_client_that_runs_as_another_user_is_refused(environ: dict[str, str], path: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    async with listening(environ, "--listen", "unix://") as server:
        for directory in (Path(path).parent, *Path(path).parents[1:4]):
            directory.chmod(0o755)  # as far as these go, anybody may come
        Path(path).chmod(0o666)
        # It becomes the other user itself: that one need not be able to run this interpreter.
        connecting = f"import os, socket; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
        connecting += f"; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print(s.recv(1))"
        stranger = await anyio.run_process([sys.executable, "-c", connecting])
        assert stranger.stdout == b"b''\n"
        assert "runs as another user" in await server.said("refused")


async def test_the_end_of_stdin_ends_the_server_where_stdio_is_named_first(environ: dict[str, str], path: str) -> None:
    async with listening(environ, "--listen", "stdio://", "--listen", "unix://") as server, unix_peer(path) as other:
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        await other.ended()
        assert await server.ended() == 0


async def test_the_end_of_stdin_ends_one_client_where_stdio_is_not_named_first(
    environ: dict[str, str], path: str
) -> None:
    async with listening(environ, "--listen", "unix://", "--listen", "stdio://") as server:
        assert server.process.stdin is not None
        assert server.process.stdout is not None
        await server.process.stdin.aclose()
        with anyio.fail_after(WAIT_SECONDS), pytest.raises(anyio.EndOfStream):
            await server.process.stdout.receive()
        async with unix_peer(path) as peer:
            assert "account" in await peer.result("account/read")


async def test_a_server_without_clients_and_turns_ends_after_a_while(
    environ: dict[str, str], path: str, backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "goes on"))
    async with listening(environ, "--listen", "unix://", "--idle-exit", "0.1") as server:
        async with unix_peer(path) as peer:
            await peer.login_with_tokens(backend.grant().access_token)
            await peer.start_turn(await peer.start_thread())
            await gate.reached.wait()
        async with unix_peer(path) as peer:  # the turn has kept it
            await peer.result("account/read")
        gate.release()
        assert await server.ended() == 0
    assert not Path(path).exists()


async def test_a_proxy_joins_stdio_to_a_running_server(environ: dict[str, str], path: str) -> None:
    async with (
        listening(environ, "--listen", "unix://"),
        unix_peer(path) as other,
        process_peer(proxy(), environ, Peer) as peer,
    ):
        await peer.initialize()
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test-1234567890"})
        await other.notification("account/updated", authMode="apikey")


async def test_a_proxy_without_a_server_says_so(environ: dict[str, str], path: str) -> None:
    ended = await anyio.run_process(proxy(), env={**os.environ, **environ}, check=False)
    assert ended.returncode == 1
    assert ended.stderr.decode() == f"appserver: {path}: no server is listening there; --autostart starts one\n"


async def test_proxies_that_start_at_once_share_the_server_that_one_of_them_starts(
    environ: dict[str, str], path: str
) -> None:
    start = proxy("--autostart", "--idle-exit", "0.1")
    async with process_peer(start, environ, Peer) as one, process_peer(start, environ, Peer) as two:
        await one.initialize("one")
        await two.initialize("two")
        await one.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test-1234567890"})
        await two.notification("account/updated", authMode="apikey")
    with anyio.fail_after(WAIT_SECONDS):
        while Path(path).exists():  # noqa: ASYNC110 - the server ends by itself
            await anyio.sleep(0.02)


async def test_a_proxy_tells_why_the_server_that_it_starts_ends(environ: dict[str, str], path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_text("a file of somebody's", "utf-8")
    ended = await anyio.run_process(proxy("--autostart"), env={**os.environ, **environ}, check=False)
    assert ended.returncode == 1
    assert ended.stderr.decode().endswith(f"{path}: there is a file that is no socket\n")


async def test_sockets_that_a_service_manager_passes_are_served(
    environ: dict[str, str], backend: FakeBackend, tmp_path: Path
) -> None:
    passed = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(passed))
        bound.listen()
        activate = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), "
        activate += "LISTEN_FDS='1'); os.execv(sys.executable, [sys.executable, '-m', 'appserver', *sys.argv[2:]])"
        command = [sys.executable, "-c", activate, str(bound.fileno()), "app-server", "--listen", "fd://"]
        async with (
            started(command, environ, pass_fds=[bound.fileno()]),
            unix_peer(passed, "one") as one,
            unix_peer(passed, "two") as two,
        ):
            await one.login_with_tokens(backend.grant().access_token)
            await two.notification("account/updated", authMode="chatgptAuthTokens")
    assert passed.is_socket(), "it belongs to who has made it"


async def test_without_passed_sockets_fd_is_refused(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "appserver", "app-server", "--listen", "fd://"]
    ended = await anyio.run_process(command, env={**os.environ, **environ, "LISTEN_FDS": "1"}, check=False)
    assert ended.returncode == 1
    assert "fd://: no sockets were passed" in ended.stderr.decode()


@pytest.mark.parametrize("split", [1, 4, 100])
async def test_a_client_of_the_unix_socket_may_speak_websocket_as_those_of_the_reference_do(
    environ: dict[str, str], path: str, split: int
) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"))
    client.send_request(client.connect())
    request = b"".join(client.data_to_send())
    async with listening(environ, "--listen", "unix://"), await anyio.connect_unix(path) as stream:
        for piece in (request[:split], request[split:]):
            await stream.send(piece)
            await anyio.lowlevel.checkpoint()
        client.receive_data(await stream.receive())
        assert client.handshake_exc is None
        client.send_text(b'{"id":1,"method":"account/read"}')
        await stream.send(b"".join(client.data_to_send()))
        client.receive_data(await stream.receive())
        assert b"Not initialized" in bytes(client.events_received()[-1].data)


async def test_a_client_that_has_connected_and_says_nothing_is_there_for_the_server(
    environ: dict[str, str], path: str
) -> None:
    async with (
        listening(environ, "--listen", "unix://", "--idle-exit", "0.1") as server,
        await anyio.connect_unix(path) as stream,
    ):
        async with unix_peer(path) as passing:
            await passing.result("account/read")
        async with peer_over(stream, "late") as peer:
            await peer.result("account/read")
        assert await server.ended() == 0
