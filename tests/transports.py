"""A server in this process behind each kind of transport, and a peer on the other end."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
from websockets.asyncio.client import connect

from appserver.server.serve import Server
from appserver.transport.sockets import LineTransport, SocketStream
from appserver.transport.stdio import Stdio
from appserver.transport.tcp import TcpListener
from appserver.transport.tcp_port import bind_port, url_of
from appserver.transport.unix import UnixListener
from appserver.transport.unix_path import bind
from appserver.transport.unix_path import connect as connect_unix
from appserver.transport.upgrade import Policy
from appserver.transport.ws_access import CapabilityToken
from tests.peer import in_memory, reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from appserver.settings import Settings
    from appserver.transport.framing import Line
    from appserver.transport.listener import Listener
    from tests.peer import Peer

TRANSPORTS = ["memory", "stdio", "ws"] if sys.platform == "win32" else ["memory", "stdio", "unix", "ws"]

TOKEN = "a token of this test"


def served(settings: Settings, transport: str, *, initialize: bool) -> AbstractAsyncContextManager[Peer]:
    """Serve a client over this transport and be that client."""
    ways = {"memory": in_memory, "stdio": _over_pipes, "unix": _over_unix, "ws": _over_websocket}
    return ways[transport](settings, initialize=initialize)


class WebSocketClient:
    """The client's end of a WebSocket, as a transport."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401 - an extra without types
        self._connected = connected

    async def send(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            if line:
                await self._connected.send(line, text=True)

    async def receive(self) -> list[Line] | None:
        async for message in self._connected:
            return [message.encode()]
        return None


@asynccontextmanager
async def _over_pipes(settings: Settings, *, initialize: bool) -> AsyncIterator[Peer]:
    to_server, to_client = os.pipe(), os.pipe()
    ours = Stdio(to_client[0], to_server[1], settings.max_line_bytes)
    theirs = Stdio(to_server[0], to_client[1], settings.max_line_bytes)

    async def serve() -> None:
        server = Server(settings)
        await server.serve(server.connection(bounded=False), theirs)
        os.close(to_client[1])

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            async with reading(ours) as peer:
                if initialize:
                    await peer.initialize()
                yield peer
                os.close(to_server[1])
                await peer.ended()
    finally:
        for one in (ours, theirs):
            one.close()


@asynccontextmanager
async def _over_unix(settings: Settings, *, initialize: bool) -> AsyncIterator[Peer]:
    with TemporaryDirectory() as directory:
        path = os.path.join(directory, "s")
        async with _listening(settings, UnixListener(bind(path), settings.max_line_bytes)):
            connected = connect_unix(path)
            stream = SocketStream(connected)
            async with reading(LineTransport(stream, settings.max_line_bytes)) as peer:
                if initialize:
                    await peer.initialize()
                yield peer
                connected.shutdown(socket.SHUT_WR)
                await peer.ended()
            stream.close()


@asynccontextmanager
async def _over_websocket(settings: Settings, *, initialize: bool) -> AsyncIterator[Peer]:
    port = bind_port("127.0.0.1", 0)
    policy = Policy(CapabilityToken(hashlib.sha256(TOKEN.encode()).digest()))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        _listening(settings, TcpListener(port, policy, settings.max_line_bytes)) as server,
        connect(url_of(port), additional_headers=headers, max_size=None, proxy=None) as connected,
        reading(WebSocketClient(connected)) as peer,
    ):
        if initialize:
            await peer.initialize()
        yield peer
        await (await connected.ping())  # by the time of the pong, what was sent before has been taken
        server.stop()  # a client that closes a WebSocket hears no more: there is no end of one direction alone
        await peer.ended()


@asynccontextmanager
async def _listening(settings: Settings, listener: Listener) -> AsyncIterator[Server]:
    """Serve the first client that comes to a listener, and end when it leaves."""
    server = Server(settings)

    async def serve() -> None:
        arrival = await listener.accept()
        assert arrival is not None
        transport = await arrival.open()
        assert transport is not None
        await server.serve(server.connection(bounded=False), transport)
        transport.close()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            yield server
    finally:
        listener.close()
