"""A client of a gateway's WebSocket."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import websockets

from tests.gateway.rig import KEY
from tests.peer import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection


class WebSocketPeer(Peer):
    """Talks to a gateway, and knows how its connection has ended."""

    def __init__(self, connected: ClientConnection) -> None:
        super().__init__(self._send_text)
        self._connected = connected

    async def _send_text(self, data: bytes) -> None:
        await self._connected.send(data.decode())

    async def read(self) -> None:
        """Take messages until the connection is closed."""
        with suppress(websockets.ConnectionClosed):
            while True:
                await self.take(await self._connected.recv(decode=False))
        self.close()

    async def close_code(self) -> int | None:
        """Wait until the gateway has closed the connection, and return its code."""
        await self.ended()
        code: int | None = self._connected.close_code
        return code


@asynccontextmanager
async def websocket_peer(url: str, key: str = KEY) -> AsyncIterator[WebSocketPeer]:
    """Connect a client that has introduced itself. `url`: the gateway's."""
    headers = {"Authorization": f"Bearer {key}"}
    place = url.replace("http://", "ws://") + "/jsonrpc"
    async with (
        websockets.connect(place, additional_headers=headers, compression=None) as connected,
        anyio.create_task_group() as group,
    ):
        peer = WebSocketPeer(connected)
        group.start_soon(peer.read)
        await peer.initialize()
        yield peer
        await connected.close()
