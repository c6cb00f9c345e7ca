"""The loopback server within the limits of the login callback: whatever strangers do, a browser is served."""

from __future__ import annotations

import select
import socket
import tracemalloc
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from appserver.loopback import CALLBACK, Request, Response, bind, serve, server
from appserver.loopback.slots import Slots
from appserver.loopback.stream import Stream
from tests.wire import DRIP_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import ByteSendStream

    from appserver.loopback import Handler, Limits

pytestmark = pytest.mark.anyio

PATIENCE = 5.0
GET = b"GET /callback HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def hello(_: Request) -> Response:
    return Response(200, {"content-type": "text/plain"}, b"hello")


@asynccontextmanager
async def serving(handler: Handler = hello, limits: Limits = CALLBACK) -> AsyncIterator[int]:
    listener = bind(0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listener, handler, limits)
        yield listener.getsockname()[1]
        tasks.cancel_scope.cancel()


def browse(port: int) -> bytes:
    """Ask as a browser does."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(GET)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


@contextmanager
def strangers(port: int, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """Connect so often, say this on each connection, and leave them open."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            client.sendall(said)
            clients.append(client)
        yield clients


def still_open(clients: list[socket.socket]) -> int:
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "], ids=["silent", "half a request"])
async def test_a_browser_is_served_beside_hundreds_of_half_open_connections(said: bytes) -> None:
    def attack_and_browse() -> tuple[bytes, int]:
        with strangers(port, 300, said) as clients:
            return browse(port), still_open(clients)

    async with serving() as port:
        answer, kept = await anyio.to_thread.run_sync(attack_and_browse)
    assert answer.endswith(b"hello")
    assert kept < CALLBACK.connections


async def test_a_client_whose_request_is_being_answered_keeps_its_place() -> None:
    begun, proceed = anyio.Event(), anyio.Event()
    answers: list[bytes] = []

    async def wait(_: Request) -> Response:
        begun.set()
        await proceed.wait()
        return Response(body=b"hello")

    async def browse_slowly() -> None:
        answers.append(await anyio.to_thread.run_sync(browse, port))

    def attack() -> None:
        with strangers(port, 10, b""):
            pass

    async with serving(wait, replace(CALLBACK, connections=2)) as port, anyio.create_task_group() as tasks:
        tasks.start_soon(browse_slowly)
        await begun.wait()
        await anyio.to_thread.run_sync(attack)
        proceed.set()
    assert answers[0].endswith(b"hello")


async def test_the_oldest_connection_goes_first_but_one_that_has_said_something_new_last() -> None:
    slots = Slots(replace(CALLBACK, connections=3))
    pairs = [socket.socketpair() for _ in range(3)]
    with ExitStack() as stack:
        held = []
        for ours, theirs in pairs:
            stack.enter_context(theirs)
            slot = await slots.take(stack.enter_context(Stream(ours)))
            stack.enter_context(slot.idle())
            held.append(slot)
        pairs[0][1].sendall(GET)
        dropped = []
        for _ in range(4):
            slots.drop_idle()
            dropped.append([slot.scope.cancel_called for slot in held])
    assert dropped == [[False, True, False], [False, True, True], [True, True, True], [True, True, True]]


@pytest.mark.parametrize(
    ("begun", "more", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n", b"x" * 65536, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n%b\r\n" % (b"x" * 65536), 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x" * 65536, 431),
        (b"GET /", b"x" * 65536, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x: y\r\n" * 10_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;x=" + b"y" * 65536, 431),
        (b"", GET * 1000, 200),
    ],
    ids=["body", "chunked body", "header", "URL", "headers", "chunk extension", "pipelined"],
)
async def test_few_kilobytes_are_held_of_each_client_however_much_it_sends(
    begun: bytes, more: bytes, status: int
) -> None:
    async def wait(_: Request) -> Response:
        await anyio.sleep_forever()
        return Response()

    def attack() -> list[bytes]:
        with strangers(port, CALLBACK.connections, begun) as clients:
            for client in clients:
                client.setblocking(False)
                send_what_goes(client, more)
            if status == 200:  # these are all being answered
                return [b"HTTP/1.1 200"] * len(clients)
            for client in clients:
                client.settimeout(PATIENCE)
            return [client.recv(100) for client in clients]

    async with serving(wait) as port:
        tracemalloc.start()
        answers = await anyio.to_thread.run_sync(attack)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 %d" % status}
    assert peak < CALLBACK.connections * 64 * 1024


def send_what_goes(client: socket.socket, data: bytes) -> None:
    try:
        for _ in range(100):
            client.send(data)
    except OSError:
        pass  # no more goes


async def test_a_request_that_comes_byte_by_byte_is_given_up() -> None:
    async with serving(limits=replace(CALLBACK, receive_seconds=0.05)) as port:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        async with stream:
            with anyio.fail_after(PATIENCE), pytest.raises(anyio.BrokenResourceError):
                await drip(stream)


async def drip(stream: ByteSendStream) -> None:
    while True:
        await stream.send(b"x")
        await anyio.sleep(DRIP_SECONDS)


class ShortOfDescriptors(socket.socket):
    """Can accept so many clients, and one more for each that has gone."""

    room = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.room == 0 and select.select([self], [], [], 0)[0]:
            self.room = 1  # what the server does now must help
            raise OSError(24, "Too many open files")
        accepted = super().accept()
        self.room -= 1
        return accepted


async def test_where_descriptors_run_out_an_idle_connection_gives_its_own_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attack_and_browse() -> tuple[bytes, int]:
        with strangers(port, 2, b"") as clients:
            return browse(port), still_open(clients)

    monkeypatch.setattr(server, "ACCEPT_RETRY_SECONDS", 0.0)
    with bind(0) as bound:
        listener = ShortOfDescriptors(fileno=bound.detach())
    port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listener, hello)
        answer, kept = await anyio.to_thread.run_sync(attack_and_browse)
        tasks.cancel_scope.cancel()
    assert answer.endswith(b"hello")
    assert kept == 1
