"""deploy/nginx.conf before two nodes, each a process, on one PostgreSQL."""

from __future__ import annotations

import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute

from appserver.testing import Gate, Message, Stream
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import KEY, NO_TLS, RESPONSES, is_ready
from tests.gateway.storm import Nodes, two_nodes
from tests.gateway.websocket import websocket_peer
from tests.ports import free_port
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

    from appserver.testing import FakeBackend

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

CONFIGURATION = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"
HEADERS = {"Authorization": f"Bearer {KEY}"}
REQUEST = {"model": "m", "input": "Hi"}


class Balanced(NamedTuple):
    """Two nodes, and the URL of the balancer before them."""

    nodes: Nodes
    url: str


@asynccontextmanager
async def running_nginx(directory: Path, nodes: tuple[str, str]) -> AsyncIterator[str]:
    """Run nginx as deploy/nginx.conf has it, but for names and ports, and yield its URL. `nodes`: host and port."""
    port = free_port()
    text = CONFIGURATION.read_text("utf-8")
    for name, node in zip(("node-1:8080", "node-2:8080"), nodes, strict=True):
        text = text.replace(f"server {name} ", f"server {node} ")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    assert not re.search("node-|8080", text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    (directory / "nginx.conf").write_text(text.replace("http {", f"http {{ access_log off; {places}"), "utf-8")
    # One process, which can be ended with one signal.
    here = f"daemon off; master_process off; pid {directory}/pid; error_log stderr;"
    command = [str(NGINX), "-p", str(directory), "-c", str(directory / "nginx.conf"), "-g", here]
    process = await anyio.open_process(command, stdout=None, stderr=None)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await kill(process)


@pytest.fixture
async def balanced(backend: FakeBackend, home: Path, tmp_path: Path, empty_postgres: str) -> AsyncIterator[Balanced]:
    async with two_nodes(backend, home, empty_postgres, GATEWAY_KEEPALIVE_SECONDS="0.05") as nodes:
        one, other = (url.removeprefix("http://") for url in nodes.urls)
        async with running_nginx(tmp_path, (one, other)) as url:
            await answered(url)
            yield Balanced(nodes, url)


async def answered(url: str) -> None:
    """Wait until the balancer serves."""
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            if await is_ready(url):
                return
            await anyio.sleep(0.02)  # nothing but the port says when it serves


async def test_what_a_stream_says_is_passed_on_before_it_says_more(balanced: Balanced) -> None:
    gate, seen = Gate(), list[str]()
    balanced.nodes.backend.script(Stream((Message(("Hel", "lo")),), hold_after=1, gate=gate))
    request = {**REQUEST, "stream": True}
    with anyio.fail_after(WAIT_SECONDS):
        async with (
            httpx.AsyncClient(headers=HEADERS, verify=NO_TLS) as client,
            client.stream("POST", f"{balanced.url}{RESPONSES}", json=request) as answer,
        ):
            async for line in answer.aiter_lines():
                seen.append(line)
                _, token, after = "".join(seen).partition('"Hel"')
                if token and after.count("keep-alive") == 3:  # the token may have come with the head of the answer
                    gate.release()
    assert '"lo"' in "".join(seen)


async def test_a_client_that_leaves_the_balancer_ends_the_request_to_the_backend(balanced: Balanced) -> None:
    gate = Gate()
    balanced.nodes.backend.script(Stream((Message(("Hel", "lo")),), hold_after=1, gate=gate))
    request = {**REQUEST, "stream": True}
    async with (
        httpx.AsyncClient(headers=HEADERS, verify=NO_TLS) as client,
        client.stream("POST", f"{balanced.url}{RESPONSES}", json=request),
    ):
        await gate.reached.wait()
    await gate.abandoned.wait()


async def test_a_websocket_is_passed_on(balanced: Balanced) -> None:
    async with websocket_peer(balanced.url) as peer:
        turn = await peer.turn(await peer.start_thread())
    assert turn["status"] == "completed"


async def test_a_large_body_is_passed_on_and_metrics_are_not(balanced: Balanced) -> None:
    async with httpx.AsyncClient(headers=HEADERS, timeout=30, verify=NO_TLS) as client:
        large = {**REQUEST, "input": "x" * 8_000_000}
        assert (await client.post(f"{balanced.url}{RESPONSES}", json=large)).status_code == 200
        assert (await client.get(f"{balanced.url}/metrics")).status_code == 404


async def test_requests_go_to_the_other_node_when_one_has_died_or_drains(balanced: Balanced) -> None:
    through = balanced.nodes._replace(urls=[balanced.url, balanced.url])
    assert await through.ask(20) == {200: 20}
    balanced.nodes.processes[0].kill()
    await balanced.nodes.processes[0].wait()
    assert await through.ask(20) == {200: 20}


async def test_a_node_is_told_the_clients_address_and_nothing_that_the_client_says_of_it(tmp_path: Path) -> None:
    heads: list[str] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            heads.append((await stream.receive()).decode())
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    said = {"Host": "gateway.example", "X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as node, anyio.create_task_group() as group:
        group.start_soon(node.serve, answer)
        place = f"127.0.0.1:{node.extra(SocketAttribute.local_port)}"  # noqa: S610 - this is not Django
        async with (
            running_nginx(tmp_path, (place, place)) as url,
            httpx.AsyncClient(headers=said, verify=NO_TLS) as client,
        ):
            await answered(url)
            heads.clear()
            await client.post(url, content=b"")
            await client.get(url, headers=upgrade)
        group.cancel_scope.cancel()
    for head in heads:
        assert re.findall(r"(?im)^x-forwarded-for: (.*)\r$", head) == ["127.0.0.1"]
        assert re.findall(r"(?im)^host: (.*)\r$", head) == ["gateway.example"]
    plain, upgraded = heads
    assert "upgrade" not in plain.lower()
    assert "connection: close" not in plain.lower()  # else each request would cost a connection to the node
    assert re.findall(r"(?im)^(?:upgrade|connection): (.*)\r$", upgraded) == ["websocket", "upgrade"]
