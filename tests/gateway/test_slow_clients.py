"""Clients that are slow, or say too much, before there is a request: each is cut off, and nobody else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.gateway import request_heads, requests, serve
from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import KEY, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from anyio.abc import SocketStream

    from appserver.testing import FakeBackend
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio

PACE_SECONDS = 0.01
"""Between two bytes: never long enough for a bound on silence."""

BEGUN = b"GET /health HTTP/1.1\r\nHost: x"
ANSWERED = BEGUN + b"\r\n\r\n"
UNWANTED_BODY = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture
async def gateway(backend: FakeBackend, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(request_heads, "HEAD_SECONDS", 0.2)
    async with running_gateway(backend, home, backend.grant(), keepalive=0.1) as running:
        yield running


async def connected(gateway: Running) -> SocketStream:
    host, port = gateway.url.removeprefix("http://").split(":")
    return await anyio.connect_tcp(host, int(port))


async def ask(connection: SocketStream, request: bytes) -> bytes:
    await connection.send(request)
    return await connection.receive()


async def send_slowly(connection: SocketStream, pieces: Iterator[bytes]) -> bytes:
    """Send a byte at a time until the other end closes, and return what it said last."""
    said = b""
    with anyio.fail_after(WAIT_SECONDS):
        try:
            while True:
                await connection.send(next(pieces))
                with anyio.move_on_after(PACE_SECONDS):
                    said += await connection.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return said


def head() -> Iterator[bytes]:
    """Return a head that never ends."""
    yield from (b"%c" % byte for byte in BEGUN)
    yield from endless(b"x")


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


async def test_a_head_that_comes_a_byte_at_a_time_is_cut_off(gateway: Running) -> None:
    async with await connected(gateway) as connection:
        assert (await send_slowly(connection, head())).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("pieces", [head(), endless(b"\r\n")], ids=["head", "empty lines"])
async def test_so_is_that_of_a_later_request_of_the_connection(gateway: Running, pieces: Iterator[bytes]) -> None:
    async with await connected(gateway) as connection:
        assert (await ask(connection, ANSWERED)).startswith(b"HTTP/1.1 200 ")
        assert (await send_slowly(connection, pieces)).startswith(b"HTTP/1.1 408 ")


async def test_so_is_one_that_comes_before_the_request_before_it_was_answered(gateway: Running) -> None:
    async with await connected(gateway) as connection:
        assert (await ask(connection, ANSWERED + BEGUN)).startswith(b"HTTP/1.1 200 ")
        assert (await send_slowly(connection, endless(b"x"))).startswith(b"HTTP/1.1 408 ")


async def test_so_is_a_body_that_was_not_wanted(gateway: Running) -> None:
    async with await connected(gateway) as connection:
        assert (await ask(connection, UNWANTED_BODY)).startswith(b"HTTP/1.1 404 ")
        assert (await send_slowly(connection, endless(b"x"))).startswith(b"HTTP/1.1 408 ")


async def test_so_is_a_body_that_is_wanted(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "write_timeout", lambda size: 0.2)
    async with await connected(gateway) as connection:
        fields = b"Host: x\r\nContent-Length: 1000000\r\nX-API-Key: " + KEY.encode()
        await connection.send(b"POST /v1/responses HTTP/1.1\r\n" + fields + b"\r\n\r\n")
        assert (await send_slowly(connection, endless(b"x"))).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_is_too_long_is_refused(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_heads, "HEAD_SECONDS", 60.0)
    async with await connected(gateway) as connection:
        await connection.send(BEGUN)
        assert (await send_slowly(connection, endless(b"x" * 10_000))).startswith(b"HTTP/1.1 431 ")


async def test_a_connection_that_sends_nothing_is_closed(
    backend: FakeBackend, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "IDLE_SECONDS", 0.1)
    async with running_gateway(backend, home) as gateway, await connected(gateway) as connection:
        with anyio.fail_after(WAIT_SECONDS), pytest.raises(anyio.EndOfStream):
            await connection.receive()


async def test_an_answer_may_take_longer(gateway: Running) -> None:
    gate, lines = Gate(), list[str]()
    gateway.backend.script(stalled(gate, "Hel", "lo"))
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=request) as answer:
        async for line in answer.aiter_lines():
            lines.append(line)
            if lines.count(": keep-alive") == 4:  # a multiple of what a head may take
                gate.release()
    assert lines[-2:] == ["data: [DONE]", ""]
