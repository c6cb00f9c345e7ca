"""The gateway as a process: how it starts, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import httpx
import pytest
import websockets
from anyio import to_thread

from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from protocol.base import Secret
from tests.gateway.rig import KEY, NO_TLS, gateway_process, is_ready, running_gateway
from tests.gateway.websocket import websocket_peer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process at once")]

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def environ(backend: FakeBackend, home: Path, database_url: str | None) -> dict[str, str]:
    url = {"GATEWAY_DATABASE_URL": database_url} if database_url else {}
    return {**backend.environ(home), **url, "GATEWAY_API_KEY": KEY, "OPENAI_API_KEY": "sk-of-the-platform"}


async def stream(url: str, lines: list[str]) -> None:
    async with (
        httpx.AsyncClient(headers=HEADERS, verify=NO_TLS) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json=REQUEST) as answer,
    ):
        lines.extend([line async for line in answer.aiter_lines()])


async def until_turned_away(url: str) -> httpx.Response:
    async with httpx.AsyncClient(headers=HEADERS, verify=NO_TLS) as client:
        while (answer := await client.get(f"{url}/v1/models")).status_code == 200:
            await anyio.lowlevel.checkpoint()  # the signal is on its way
        return answer


async def test_running_streams_get_their_time_and_others_are_turned_away(
    backend: FakeBackend, environ: dict[str, str]
) -> None:
    gate, lines = Gate(), list[str]()
    backend.script(stalled(gate, "Hel", "lo"))
    async with (
        gateway_process(environ) as (process, url),
        anyio.create_task_group() as group,
    ):
        group.start_soon(stream, url, lines)
        await gate.reached.wait()
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(WAIT_SECONDS):
            refused = await until_turned_away(url)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert not await is_ready(url)
        assert process.returncode is None
        gate.release()
        with anyio.fail_after(WAIT_SECONDS):
            assert await process.wait() == 128 + signal.SIGTERM
    assert lines[-2:] == ["data: [DONE]", ""]


async def test_a_stream_that_takes_too_long_is_told_that_the_server_ends(
    backend: FakeBackend, environ: dict[str, str]
) -> None:
    gate, lines = Gate(), list[str]()
    backend.script(stalled(gate, "Hel"))
    environ = {**environ, "GATEWAY_SHUTDOWN_SECONDS": "0.2"}
    async with gateway_process(environ) as (process, url), anyio.create_task_group() as group:
        group.start_soon(stream, url, lines)
        await gate.reached.wait()
        process.send_signal(signal.SIGTERM)
        await gate.abandoned.wait()
        with anyio.fail_after(WAIT_SECONDS):
            await process.wait()
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "shutting_down"


async def test_turns_of_websocket_clients_get_their_time_and_no_other_turn_starts(
    backend: FakeBackend, environ: dict[str, str]
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel", "lo"))
    async with gateway_process(environ) as (process, url), websocket_peer(url) as peer:
        thread_id, other = await peer.start_thread(), await peer.start_thread()
        turn_id = await peer.start_turn(thread_id)
        await gate.reached.wait()
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(WAIT_SECONDS):
            await until_turned_away(url)
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websocket_peer(url):
                pass
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) > 0
        told = await peer.error("turn/start", {"threadId": other, "input": [{"type": "text", "text": "Hi"}]})
        assert "shutting down" in told["message"]
        gate.release()
        assert (await peer.finished_turn(turn_id))["status"] == "completed"
        assert await peer.close_code() == 1001
        with anyio.fail_after(WAIT_SECONDS):
            assert await process.wait() == 128 + signal.SIGTERM


async def test_a_turn_that_takes_too_long_is_interrupted_and_its_client_told_so(
    backend: FakeBackend, environ: dict[str, str]
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    environ = {**environ, "GATEWAY_SHUTDOWN_SECONDS": "0.2"}
    async with gateway_process(environ) as (process, url), websocket_peer(url) as peer:
        turn_id = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        process.send_signal(signal.SIGTERM)
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"
        assert await peer.close_code() == 1001
        with anyio.fail_after(WAIT_SECONDS):
            await process.wait()


@pytest.mark.parametrize(
    ("variables", "words", "complaint"),
    [
        ({"GATEWAY_KEEPALIVE_SECONDS": "soon"}, ["--port", "0"], "GATEWAY_KEEPALIVE_SECONDS"),
        ({"GATEWAY_MAX_BODY_BYTES": "-1"}, ["--port", "0"], "GATEWAY_MAX_BODY_BYTES"),
        ({}, [], "--port"),
        ({"PORT": "http"}, [], "PORT"),
        ({}, ["--port", "0", "--host", "192.0.2.1"], "192.0.2.1"),
        ({"GATEWAY_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, ["--port", "0"], "database"),
        ({"GATEWAY_SECRET_KEYS": "short"}, ["--port", "0"], "GATEWAY_SECRET_KEYS"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, variables: dict[str, str], words: list[str], complaint: str
) -> None:
    environ = {"APPSERVER_HOME": str(tmp_path), "GATEWAY_API_KEY": KEY, **variables}
    assert complaint in refused_start(environ, words)


def refused_start(environ: dict[str, str], words: Sequence[str] = ("--port", "0")) -> str:
    """Return the one line that a gateway says which does not start."""
    command = [sys.executable, "-m", "appserver", "gateway", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    return line


async def test_a_secret_key_that_does_not_fit_what_is_stored_ends_the_start(
    backend: FakeBackend, home: Path, environ: dict[str, str], database_url: str | None
) -> None:
    old, new = Secret("the-old-secret-key"), Secret("the-new-secret-key")
    async with running_gateway(backend, home, backend.grant(), database_url=database_url, secret_keys=(old,)):
        pass
    told = await to_thread.run_sync(refused_start, {**environ, "GATEWAY_SECRET_KEYS": new.reveal()})
    assert "GATEWAY_SECRET_KEYS" in told
    assert "(default)" in told
    assert new.reveal() not in told
    async with gateway_process({**environ, "GATEWAY_SECRET_KEYS": f"{new.reveal()},{old.reveal()}"}):
        pass


async def test_nodes_with_different_secret_keys_are_told_apart_before_anything_is_stored(
    environ: dict[str, str],
) -> None:
    async with gateway_process({**environ, "GATEWAY_SECRET_KEYS": "the-key-of-one-node"}):
        other = {**environ, "GATEWAY_SECRET_KEYS": "the-key-of-another"}
        assert "GATEWAY_SECRET_KEYS" in await to_thread.run_sync(refused_start, other)
