"""Connections of the HTTP stack: when one is used again, kept or closed."""

from __future__ import annotations

import itertools
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute

from appserver.http_transport import REPEATABLE, Transport
from tests.wire import GONE, answering, chunked, head, self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
MAX_IDLE = 3
MANY = 50
LONG = bytes(1_000_000)
ANSWER = head("content-length: 2") + b"ok"


class Server:
    """Answers every request on every connection."""

    def __init__(self, answer: bytes, *, leaves: bool, answers: int | None = None) -> None:
        self.url = ""
        self.opened = 0
        self.closed = 0
        self.changed = anyio.Event()
        self._answer = answer
        self._leaves = leaves
        self._answers = answers

    async def serve(self, connection: ByteStream) -> None:
        self.opened += 1
        try:
            async with connection:
                for number in itertools.count():
                    await connection.receive()
                    if number == self._answers:
                        return
                    await connection.send(self._answer)
                    if self._leaves:
                        return
        except GONE:
            pass
        finally:
            self.closed += 1
            self.changed.set()
            self.changed = anyio.Event()

    async def until_closed(self, count: int) -> None:
        with anyio.fail_after(PATIENCE):
            while self.closed < count:
                await self.changed.wait()


@asynccontextmanager
async def serving(answer: bytes = ANSWER, *, leaves: bool = False, answers: int | None = None) -> AsyncIterator[Server]:
    """`answers`: how many a connection gives; at the request after them it is closed."""
    server = Server(answer, leaves=leaves, answers=answers)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra_attributes[SocketAttribute.local_port]()}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def client(context: ssl.SSLContext | None = None, idle_seconds: float = 60) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=Transport(context, MAX_IDLE, idle_seconds)) as made:
        yield made


async def test_a_connection_is_used_again_once_its_answer_has_been_read() -> None:
    async with serving() as server, client() as http:
        for _ in range(3):
            assert (await http.get(server.url)).text == "ok"
    assert (server.opened, server.closed) == (1, 1)


async def test_a_connection_is_used_for_its_own_server_alone() -> None:
    async with serving() as one, serving(head("content-length: 0", status=404)) as other, client() as http:
        assert [(await http.get(server.url)).status_code for server in (one, other, one)] == [200, 404, 200]
    assert (one.opened, other.opened) == (1, 1)


async def test_any_number_of_answers_can_be_under_way_and_a_few_connections_are_kept() -> None:
    async with serving() as server, client() as http:
        answers = [await http.send(http.build_request("GET", server.url), stream=True) for _ in range(MANY)]
        assert server.opened == MANY
        assert [await answer.aread() for answer in answers] == [b"ok"] * MANY
        await server.until_closed(MANY - MAX_IDLE)
        await http.get(server.url)
        assert server.opened == MANY


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    async with serving(leaves=True) as server, client() as http:
        for _ in range(3):
            assert (await http.get(server.url)).text == "ok"
            await server.until_closed(server.opened)
            await anyio.wait_all_tasks_blocked()
    assert server.opened == 3


async def test_what_meets_the_end_of_a_kept_connection_is_sent_once_more_over_a_new_one() -> None:
    async with serving(answers=1) as server, client() as http:
        for _ in range(3):
            answer = await http.post(server.url, content=b"body", extensions={REPEATABLE: True})
            assert answer.text == "ok"
    assert server.opened == 3


async def test_what_might_do_harm_if_it_came_twice_is_not_sent_again() -> None:
    async with serving(answers=1) as server, client() as http:
        await http.get(server.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(server.url)
    assert server.opened == 1


async def test_what_meets_the_end_of_a_new_connection_is_not_sent_again() -> None:
    async with serving(answers=0) as server, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(server.url, extensions={REPEATABLE: True})
    assert server.opened == 1


async def test_a_connection_that_was_idle_for_too_long_is_not_used() -> None:
    async with serving() as server, client(idle_seconds=0) as http:
        for _ in range(2):
            await http.get(server.url)
    assert server.opened == 2


async def test_an_answer_that_is_given_up_closes_its_connection() -> None:
    async with serving(head("transfer-encoding: chunked") + chunked([b"ok"])) as server, client() as http:
        async with http.stream("GET", server.url) as answer:
            assert await anext(aiter(answer.aiter_raw())) == b"ok"
        await server.until_closed(1)


async def test_an_answer_that_is_cancelled_closes_its_connection() -> None:
    async with serving(head("transfer-encoding: chunked") + chunked([b"ok"])) as server, client() as http:
        with anyio.CancelScope() as scope:
            async with http.stream("GET", server.url) as answer:
                async for _ in answer.aiter_raw():
                    scope.cancel()
        await server.until_closed(1)


async def test_a_connection_that_breaks_is_an_error_of_httpx() -> None:
    async with answering(b"HTTP/1.1 2") as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError) as raised:
            await http.get(url)
        assert raised.value.request.url == url
    async with answering(head("content-length: 5"), b"ok") as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url)


async def test_an_answer_comes_over_tls(tmp_path: Path) -> None:
    pieces = (head("transfer-encoding: chunked"), chunked([b"ok", LONG]), b"0\r\n\r\n")
    async with answering(*pieces, tls=self_signed(tmp_path)) as url:
        async with client(ssl.create_default_context(cafile=tmp_path / "cert.pem")) as http:
            assert (await http.get(url)).content == b"ok" + LONG
        async with client(ssl.create_default_context()) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(url)
