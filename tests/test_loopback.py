"""The loopback server, over real sockets: what it serves, what it refuses, what it survives."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appserver.loopback import Disconnect, Limits, Request, Response, bind, serve, server
from appserver.testing.backend import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

    from appserver.loopback import Handler

pytestmark = pytest.mark.anyio

PATIENCE = 5.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def serving(handler: Handler, limits: Limits = LIMITS) -> AsyncIterator[str]:
    listener = bind(0)
    port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listener, handler, limits)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            tasks.cancel_scope.cancel()


async def echo(request: Request) -> Response:
    return Response(200, {"content-type": "text/plain"}, request.body or request.path.encode())


async def raw_connection(url: str) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2]))


async def read_all(stream: SocketStream) -> bytes:
    received = bytearray()
    with anyio.fail_after(PATIENCE), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            received += await stream.receive()
    return bytes(received)


async def exchange(url: str, data: bytes) -> bytes:
    """Send these bytes and no more, and read until the server closes."""
    async with await raw_connection(url) as stream:
        with suppress(anyio.BrokenResourceError):
            await stream.send(data)
            await stream.send_eof()
        return await read_all(stream)


async def test_a_request_arrives_with_method_path_query_headers_and_body() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(201, {"X-Answer": "yes"}, b"done")

    async with serving(handler) as url, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{url}/a%20b?code=x%2Fy&empty=&code=z", headers=[("X-Two", "1"), ("X-Two", "2")], content=b"body"
        )
    assert (answer.status_code, answer.headers["x-answer"], answer.content) == (201, "yes", b"done")
    [request] = seen
    assert (request.method, request.path, request.body) == ("POST", "/a%20b", b"body")
    assert request.query == {"code": "z", "empty": ""}
    assert request.headers["x-two"] == "1, 2"


async def test_one_connection_serves_many_requests() -> None:
    async with serving(echo) as url, await raw_connection(url) as stream:
        for path in (b"/one", b"/two"):
            await stream.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            with anyio.fail_after(PATIENCE):
                while not received.endswith(path):
                    received += await stream.receive()
            assert received.startswith(b"HTTP/1.1 200")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def stream_path(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield request.path.encode()

        return Response(body=body())

    two = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(stream_path) as url, await raw_connection(url) as stream:
        await stream.send(two)
        received = await read_all(stream)
    assert 0 < received.index(b"/one") < received.index(b"/two")


async def test_an_iterator_is_sent_item_by_item_as_it_comes() -> None:
    proceed = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await proceed.wait()
        yield b""
        yield b"second"

    async def handler(_: Request) -> Response:
        return Response(body=body())

    async with (
        serving(handler) as url,
        httpx.AsyncClient() as client,
        client.stream("GET", url) as answer,
    ):
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"first"
        proceed.set()
        assert [chunk async for chunk in chunks] == [b"second"]


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_what_may_not_have_a_body_has_none(status: int) -> None:
    async def handler(_: Request) -> Response:
        return Response(status, body=b"ignored")

    async with serving(handler) as url, httpx.AsyncClient() as client:
        answers = [await client.head(url), await client.head(url)]
    assert [(it.status_code, it.content) for it in answers] == [(status, b"")] * 2


async def test_a_client_that_expects_100_continue_gets_it_before_it_sends_the_body() -> None:
    framing = b"Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    async with serving(echo) as url, await raw_connection(url) as stream:
        await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
        assert (await stream.receive()).startswith(b"HTTP/1.1 100")
        await stream.send(b"body")
        assert (await read_all(stream)).endswith(b"body")


async def test_a_handler_that_fails_answers_500_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/fail":
            raise RuntimeError("private words")
        return Response()

    async with serving(handler) as url, httpx.AsyncClient() as client:
        failure = await client.post(f"{url}/fail?code=private-code", content=b"private-body")
        success = await client.get(f"{url}/fine")
    assert (failure.status_code, failure.text) == (500, "Internal Server Error\n")
    assert success.status_code == 200
    assert "the handler failed: POST /fail" in caplog.text
    assert "private-code" not in caplog.text
    assert "private-body" not in caplog.text


async def test_a_handler_can_cut_the_connection_instead_of_answering() -> None:
    async def handler(_: Request) -> Response:
        raise Disconnect

    async with serving(handler) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)


async def test_a_body_can_cut_the_connection_after_what_it_has_sent() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise Disconnect

    async def handler(_: Request) -> Response:
        return Response(body=body())

    received: list[bytes] = []
    async with serving(handler) as url, httpx.AsyncClient() as client, client.stream("GET", url) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            await collect(answer, received)
    assert received == [b"half"]


async def collect(answer: httpx.Response, into: list[bytes]) -> None:
    async for chunk in answer.aiter_bytes():
        into.append(chunk)  # noqa: PERF401 - what came before the failure must be kept


async def test_a_body_that_fails_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError

    async def handler(_: Request) -> Response:
        return Response(body=body())

    async with serving(handler) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
    assert "a response body failed" in caplog.text


async def test_a_response_that_is_not_http_ends_the_connection_and_its_headers_stay_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(_: Request) -> Response:
        return Response(302, {"location": "/?code=private\r\nX-Injected: yes"})

    async with serving(handler) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
    assert "not valid HTTP" in caplog.text
    assert "private" not in caplog.text


async def test_a_client_that_hangs_up_cancels_the_body_it_was_reading() -> None:
    cancelled = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async def handler(_: Request) -> Response:
        return Response(body=body())

    async with serving(handler) as url:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            assert await anext(answer.aiter_raw()) == b"first"
        with anyio.fail_after(PATIENCE):
            await cancelled.wait()


async def test_a_client_that_hangs_up_does_not_cancel_a_handler() -> None:
    begun, proceed, finished = anyio.Event(), anyio.Event(), anyio.Event()

    async def handler(_: Request) -> Response:
        begun.set()
        await proceed.wait()
        finished.set()
        return Response()

    async with serving(handler) as url:
        async with await raw_connection(url) as stream:
            await stream.send(GET)
            await begun.wait()
        proceed.set()
        with anyio.fail_after(PATIENCE):
            await finished.wait()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nless", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
async def test_a_malformed_request_is_refused_and_the_connection_closed(request_bytes: bytes, status: int) -> None:
    async with serving(echo) as url:
        answer = await exchange(url, request_bytes)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status)
        assert b"connection: close" in head.lower()
        assert b"xxx" not in body
        assert (await exchange(url, GET)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("framing", [b"Content-Length: 11", b"Transfer-Encoding: chunked"])
async def test_a_body_above_the_cap_is_refused_with_413(framing: bytes) -> None:
    async with serving(echo, replace(LIMITS, body_bytes=10)) as url:
        request = b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"
        body = b"b\r\n01234567890\r\n0\r\n\r\n" if b"chunked" in framing else b"01234567890"
        answer = await exchange(url, request + body)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo"])
async def test_a_client_that_is_silent_for_too_long_is_dropped(sent: bytes) -> None:
    async with serving(echo, replace(LIMITS, receive_seconds=0.01)) as url, await raw_connection(url) as stream:
        if sent:
            await stream.send(sent)
        assert await read_all(stream) == b""


async def test_a_client_that_does_not_read_is_dropped() -> None:
    ended = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            ended.set()

    async def handler(_: Request) -> Response:
        return Response(body=endless())

    async with serving(handler, replace(LIMITS, send_seconds=0.01)) as url, await raw_connection(url) as stream:
        await stream.send(GET)
        with anyio.fail_after(PATIENCE):
            await ended.wait()


async def test_clients_above_the_limit_wait_for_a_place() -> None:
    request = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with (
        serving(echo, replace(LIMITS, connections=1)) as url,
        await raw_connection(url) as first,
        await raw_connection(url) as second,
    ):
        await second.send(request)
        await first.send(request)
        assert (await read_all(first)).endswith(b"/x")
        assert (await read_all(second)).endswith(b"/x")


class FlakyListener(socket.socket):
    """Fails to accept before it succeeds."""

    failures: ClassVar[list[OSError]] = []

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            raise self.failures.pop()
        return super().accept()


async def test_an_accept_that_fails_does_not_end_the_server_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "ACCEPT_RETRY_SECONDS", 0.0)
    FlakyListener.failures = [*[OSError(errno.EMFILE, "Too many open files")] * 3, OSError(errno.ECONNABORTED, "Gone")]
    with bind(0) as bound:
        listener = FlakyListener(fileno=bound.detach())
    port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks, httpx.AsyncClient() as client:
        tasks.start_soon(serve, listener, echo)
        assert (await client.get(f"http://127.0.0.1:{port}")).status_code == 200
        tasks.cancel_scope.cancel()
    assert not FlakyListener.failures
    assert [record.getMessage() for record in caplog.records if "accept failed" in record.message] == [
        "loopback: accept failed: Too many open files"
    ]


async def test_cancelling_the_server_closes_its_socket_and_connections() -> None:
    listener = bind(0)
    port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listener, echo)
        stream = await anyio.connect_tcp("127.0.0.1", port)
        tasks.cancel_scope.cancel()
    async with stream:
        assert await read_all(stream) == b""
    assert listener.fileno() == -1
    with pytest.raises(OSError, match=r"Connect call failed|refused|connection attempts failed"):
        await anyio.connect_tcp("127.0.0.1", port)


def test_a_port_in_use_is_refused_and_a_port_in_time_wait_is_not() -> None:
    first = bind(0)
    port = first.getsockname()[1]
    assert first.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r"."):
        bind(port)
    with socket.create_connection(("127.0.0.1", port)) as client:
        server_side, _ = first.accept()
        server_side.close()  # closing first is what leaves TIME_WAIT behind
        assert client.recv(1) == b""
    first.close()
    bind(port).close()


def test_a_request_keeps_its_secrets_out_of_its_repr() -> None:
    request = Request("GET", "/callback", {"code": "private"}, "code=private", {"cookie": "private"}, b"private")
    assert "private" not in repr(request)
    assert "private" not in repr(Response(200, {}, b"private"))


LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /x?code=1 HTTP/1.1",
        b"HEAD * HTTP/1.0",
        b"CONNECT a:1 HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"Host: x",
        b"Host:",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b": ",
        b"",
        b"5",
        b"hello",
        b"0",
    ]
)
NOISE = st.binary(max_size=300) | st.lists(LINES | st.binary(max_size=20), max_size=12).map(b"\r\n".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=NOISE)
async def test_any_bytes_get_an_answer_or_a_close_and_the_next_client_is_served(
    noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(echo) as url:
        caplog.clear()  # what an earlier example left is not this one's
        answer = await exchange(url, noise)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
        assert (await exchange(url, GET)).startswith(b"HTTP/1.1 200")
    assert not [it for it in caplog.records if it.levelno >= logging.ERROR]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no way to ask for a reset there")
async def test_a_client_that_resets_its_connection_disturbs_nobody() -> None:
    async with serving(echo) as url, httpx.AsyncClient() as client:
        rude = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        rude.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
        rude.close()
        assert (await client.get(url)).status_code == 200
