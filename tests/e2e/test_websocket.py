"""A server that listens for WebSocket clients: what they have to show, and what attacks come to."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import struct
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from appserver.transport.upgrade import BEARER_SUBPROTOCOL, SUBPROTOCOL
from tests.listening import Listening, listening
from tests.peer import WAIT_SECONDS, Peer
from tests.transport.test_ws_access import SECRET, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

URL = "ws://127.0.0.1:0"
CONNECTS = 10_000
AT_ONCE = 100
HALF = CONNECTS // AT_ONCE // 2
MAX_GROWTH_MIB = 4
"""From half of the connects to all of them. A kilobyte kept for each would be five."""


@pytest.fixture
def environ(home: Path, backend: FakeBackend) -> dict[str, str]:
    return backend.environ(home)


class Address:
    """Where a server listens, and the token that it has handed over."""

    def __init__(self, server: Listening, told: dict[str, Any]) -> None:
        self.server = server
        self.url: str = told["listening"][0]
        self.token: str | None = told.get("token")
        host, _, port = self.url.removeprefix("ws://").rpartition(":")
        self.place = host, int(port)

    def connect(self, token: str | None, **options: Any) -> connect:  # noqa: ANN401 - the client's options
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return connect(self.url, additional_headers=headers, **options)


@asynccontextmanager
async def serving(environ: dict[str, str], *words: str) -> AsyncIterator[Address]:
    """Start a server and read the first line of its stdout."""
    async with listening(environ, "--listen", URL, *words) as server:
        assert server.process.stdout is not None
        with anyio.fail_after(WAIT_SECONDS):
            told = json.loads(await server.process.stdout.receive())
        yield Address(server, told)


@asynccontextmanager
async def peer_of(connected: ClientConnection) -> AsyncIterator[Peer]:
    async def send(data: bytes) -> None:
        await connected.send(data.decode())

    async def read() -> None:
        async for message in connected:
            await peer.take(message if isinstance(message, bytes) else message.encode())
        peer.close()

    peer = Peer(send)
    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await peer.initialize()
        yield peer
        await connected.close()


async def refused(address: Address, token: str | None, **options: Any) -> int:  # noqa: ANN401 - the client's options
    """Try to connect and return the HTTP status of the refusal."""
    with pytest.raises(InvalidStatus) as caught:
        async with address.connect(token, **options):
            pass
    status: int = caught.value.response.status_code
    return status


async def closed(connected: ClientConnection) -> int:
    """Wait until the server has closed a WebSocket, and return the close code."""
    with anyio.fail_after(WAIT_SECONDS):
        await connected.wait_closed()
    code: int = connected.close_code
    return code


async def test_a_client_with_the_token_of_the_first_line_is_served(
    environ: dict[str, str], backend: FakeBackend
) -> None:
    async with serving(environ) as address, address.connect(address.token) as connected, peer_of(connected) as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "completed"
        assert address.token is not None
        assert len(address.token) >= 43  # 256 bits in base64
        assert not [line for line in address.server.log if address.token in line]


async def test_without_the_token_a_client_is_refused_and_nothing_that_it_sent_is_logged(
    environ: dict[str, str],
) -> None:
    async with serving(environ) as address:
        assert await refused(address, None) == 401
        assert await refused(address, "wrong-token-of-somebody") == 401
        assert address.token is not None
        assert await refused(address, address.token[:-1]) == 401
        await address.server.said("refused a client: its token is missing")
        await address.server.said("refused a client: its token is invalid")
        assert not [line for line in address.server.log if "wrong-token" in line or address.token[:-1] in line]


async def test_a_token_in_the_url_does_not_count(environ: dict[str, str]) -> None:
    async with serving(environ) as address:
        address.url += f"/?token={address.token}"
        assert await refused(address, None) == 401


async def test_a_web_page_is_refused_unless_its_origin_is_listed(environ: dict[str, str]) -> None:
    async with serving(environ, "--ws-allow-origin", "https://good.example") as address:
        assert await refused(address, address.token, origin=Origin("https://evil.example")) == 403
        subprotocols = [Subprotocol(SUBPROTOCOL), Subprotocol(f"{BEARER_SUBPROTOCOL}{address.token}")]
        async with (
            address.connect(None, origin=Origin("https://good.example"), subprotocols=subprotocols) as connected,
            peer_of(connected) as peer,
        ):
            assert connected.subprotocol == SUBPROTOCOL
            assert "account" in await peer.result("account/read")


async def test_probes_are_answered_without_a_token_but_not_to_a_web_page(environ: dict[str, str]) -> None:
    async with serving(environ) as address, httpx.AsyncClient(trust_env=False) as http:
        for path in ("/healthz", "/readyz"):
            url = f"{address.url.replace('ws:', 'http:')}{path}"
            assert (await http.get(url)).status_code == 200
            assert (await http.get(url, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.get(address.url.replace("ws:", "http:"))).status_code == 401


async def test_a_token_file_is_made_for_its_owner_only_and_used_again(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    for _ in range(2):
        async with serving(environ, "--ws-token-file", str(file)) as address:
            assert address.token is None
            if sys.platform != "win32":
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
            async with address.connect(file.read_text("ascii").strip()):
                pass
            assert await refused(address, "another") == 401


async def test_a_token_can_be_known_to_the_server_by_its_digest_alone(environ: dict[str, str]) -> None:
    digest = hashlib.sha256(b"mine").hexdigest()
    async with serving(environ, "--ws-token-sha256", digest) as address, address.connect("mine"):
        assert await refused(address, digest) == 401


async def test_a_signed_bearer_token_is_checked(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    words = ["--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", str(file), "--ws-audience", "us"]
    async with serving(environ, *words) as address:
        async with address.connect(signed({"exp": 4_000_000_000, "aud": "us"})):
            pass
        assert await refused(address, signed({"exp": 4_000_000_000, "aud": "others"})) == 401
        assert await refused(address, signed({"exp": 1_000_000_000, "aud": "us"})) == 401


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--listen", "ws://localhost:0"], "expected ws://IP:PORT"),
        (["--listen", "ws://127.0.0.1"], "expected ws://IP:PORT"),
        (["--listen", URL, "--listen", "stdio://"], "needs --ws-token-file: stdout belongs to the protocol"),
        (["--listen", URL, "--ws-auth", "signed-bearer-token"], "needs --ws-shared-secret-file"),
        (["--listen", URL, "--ws-token-sha256", "abc"], "expected 64 hexadecimal digits"),
        (["--listen", URL, "--ws-shared-secret-file", os.devnull], "needs --ws-auth signed-bearer-token"),
    ],
)
async def test_options_that_cannot_be_used_end_the_server(
    environ: dict[str, str], words: list[str], problem: str
) -> None:
    command = [sys.executable, "-m", "appserver", "app-server", *words]
    ended = await anyio.run_process(command, env={**os.environ, **environ}, check=False)
    assert ended.returncode == 2
    assert problem in ended.stderr.decode()


async def test_messages_in_fragments_and_with_line_breaks_are_one_message_each(environ: dict[str, str]) -> None:
    async with serving(environ) as address, address.connect(address.token) as connected, peer_of(connected):
        await connected.send(['{"id": 100,\n "meth', 'od": "account/read"}'])
        with anyio.fail_after(WAIT_SECONDS):
            await connected.ping()
        await connected.send("no JSON")


async def test_bytes_are_no_messages(environ: dict[str, str]) -> None:
    async with serving(environ) as address, address.connect(address.token) as connected:
        await connected.send(b"{}")
        assert await closed(connected) == 1003


async def test_a_frame_of_a_gibibyte_is_refused_by_its_header(environ: dict[str, str]) -> None:
    async with serving(environ) as address, address.connect(address.token) as connected:
        connected.transport.write(struct.pack("!BBQ4s", 0x81, 0xFF, 2**30, b"mask"))
        assert await closed(connected) == 1009


async def test_a_message_that_grows_too_long_in_fragments_is_refused(environ: dict[str, str]) -> None:
    words = ["-c", "appserver.max_line_bytes=10000"]
    async with serving(environ, *words) as address, address.connect(address.token) as connected:
        with suppress(ConnectionClosed):
            await connected.send("x" * 1000 for _ in range(20))
        assert await closed(connected) == 1009


async def test_the_end_of_the_server_closes_the_websocket_as_going_away(environ: dict[str, str]) -> None:
    async with serving(environ) as address, address.connect(address.token) as connected:
        async with peer_of(connected) as peer:
            await peer.result("account/read")
            address.server.process.terminate()
            await peer.ended()
        assert connected.close_code == 1001


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory and descriptors from /proc")
async def test_ten_thousand_connects_leave_no_trace_and_keep_no_client_out(environ: dict[str, str]) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong-token-of-somebody\r\n"

    async with (
        serving(environ) as address,
        address.connect(address.token) as connected,
        peer_of(connected) as peer,
    ):
        pid = address.server.process.pid
        before, open_before = 0.0, descriptors(pid)
        for number in range(CONNECTS // AT_ONCE):
            attackers = [socket.create_connection(address.place) for _ in range(AT_ONCE)]
            for index, attacker in enumerate(attackers):
                with suppress(OSError):  # it has been left already
                    attacker.send([b"", b"G", request, b"\x00" * 100][index % 4])
            assert "account" in await peer.result("account/read")
            peer.forget()
            if number % 20 == 0:
                async with address.connect(address.token):
                    pass
            for attacker in attackers:
                attacker.close()
            if number == HALF:
                before = resident_mib(pid)
        with anyio.fail_after(WAIT_SECONDS):
            while descriptors(pid) > open_before:
                await peer.result("account/read")
        assert resident_mib(pid) < before + MAX_GROWTH_MIB
        assert len(address.server.log) < 20
        assert not [line for line in address.server.log if "wrong-token" in line]
