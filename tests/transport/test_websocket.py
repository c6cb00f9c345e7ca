"""A WebSocket whose other end goes silent, stops reading, or breaks the protocol."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import anyio
import pytest
from websockets.client import ClientProtocol
from websockets.frames import CloseCode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from appserver.transport.base import Ending
from appserver.transport.sockets import SocketStream
from appserver.transport.websocket import WebSocketTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

BOUND = 10.0
SOON = 0.02


class Far:
    """The other end, by hand."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)

    async def flush(self) -> None:
        await self.stream.send(b"".join(self.protocol.data_to_send()))

    async def say(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        await self.flush()

    async def read_to_the_end(self) -> None:
        """Read, and answer pings and the close, until the WebSocket is closed."""
        while chunk := await self.stream.receive():
            self.protocol.receive_data(chunk)
            await self.flush()
            if self.protocol.state is not State.OPEN:
                self.stream.close()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[WebSocketTransport, Far]]:
    """An open WebSocket that looks for signs of life often."""
    near, far = map(SocketStream, socket.socketpair())
    protocol = ServerProtocol(state=State.OPEN, max_size=1000)
    yield WebSocketTransport(near, protocol, ping_seconds=SOON, pong_seconds=SOON), Far(far)
    near.close()
    far.close()


async def test_a_link_that_is_half_open_is_ended_after_a_ping_without_an_answer(
    pair: tuple[WebSocketTransport, Far],
) -> None:
    transport, _ = pair
    with anyio.fail_after(BOUND):
        assert await transport.receive() is None


async def test_a_client_that_answers_pings_stays(pair: tuple[WebSocketTransport, Far]) -> None:
    transport, far = pair
    async with anyio.create_task_group() as group:
        group.start_soon(far.read_to_the_end)
        with anyio.move_on_after(SOON * 10):
            assert await transport.receive() is None
            raise AssertionError("the link was taken to be dead")
        group.cancel_scope.cancel()


async def test_a_client_that_does_not_read_what_it_is_sent_is_taken_to_be_gone(
    pair: tuple[WebSocketTransport, Far],
) -> None:
    transport, _ = pair
    async with anyio.create_task_group() as group:
        group.start_soon(transport.send, b'{"large":"' + b"x" * 10_000_000 + b'"}\n')
        with anyio.fail_after(BOUND):
            assert await transport.receive() is None
        group.cancel_scope.cancel()


async def test_lines_become_messages_and_messages_lines(pair: tuple[WebSocketTransport, Far]) -> None:
    transport, far = pair
    await transport.send(b'{"id":1}\n{"id":2}\n')
    far.protocol.receive_data(await far.stream.receive())
    assert [bytes(frame.data) for frame in far.protocol.events_received()] == [b'{"id":1}', b'{"id":2}']
    await far.say('{"id":3}')
    await far.say('{"id":4}')
    lines: list[object] = []
    while len(lines) < 2:
        lines += await transport.receive() or []
    assert lines == [b'{"id":3}', b'{"id":4}']


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Ending.STOPPED, CloseCode.GOING_AWAY),
        (Ending.TOO_SLOW, CloseCode.POLICY_VIOLATION),
        (Ending.LEFT, CloseCode.NORMAL_CLOSURE),
    ],
)
async def test_why_it_ends_is_told_by_the_close_code(
    pair: tuple[WebSocketTransport, Far], ending: Ending, code: CloseCode
) -> None:
    transport, far = pair
    async with anyio.create_task_group() as group:
        group.start_soon(far.read_to_the_end)
        with anyio.fail_after(BOUND):
            await transport.finish(ending)
        group.cancel_scope.cancel()
    assert far.protocol.close_rcvd is not None
    assert far.protocol.close_rcvd.code == code
