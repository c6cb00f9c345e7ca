"""A server that runs already and listens for WebSocket clients. Needs `pip install 'appserverd[ws]'`.

Owns the opening handshake on the client's side (RFC 6455, section 4.1); messages are the transport's part.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from logging import CRITICAL, Logger
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from appserver.client.errors import ServerGone
from appserver.client.sockets import MAX_LINE_BYTES, TransportLink
from appserver.transport.base import TransportClosed
from protocol.base import Secret

if TYPE_CHECKING:
    from websockets.client import ClientProtocol

    from appserver.transport.framing import Line
    from appserver.transport.sockets import SocketStream
    from appserver.transport.websocket import WebSocketTransport

HANDSHAKE_SECONDS: Final = 10.0
"""What the server gets to take the connection, and then to answer: on loopback it is a moment."""

_SILENT = Logger("websockets", CRITICAL)
"""The package would log headers, and so tokens."""


@dataclass(frozen=True)
class WebSocket:
    """Join a server that listens for WebSocket clients (docs/sockets.md).

    url: ws://HOST:PORT. The connection is not encrypted: to another machine, go through a tunnel. token: what the
    server asks of its clients.
    """

    url: str
    token: str | Secret | None = field(default=None, repr=False)

    async def open(self) -> WebSocketLink:
        """Connect and shake hands. Raises ServerGone if there is no server, or it refuses."""
        try:
            from appserver.transport.sockets import SocketStream
            from appserver.transport.websocket import WebSocketTransport
        except ImportError:
            raise ServerGone("ws:// needs the package websockets: pip install 'appserverd[ws]'") from None
        stream = SocketStream(await anyio.to_thread.run_sync(self._connect, abandon_on_cancel=True))
        try:
            with anyio.fail_after(HANDSHAKE_SECONDS):
                protocol = await self._shake_hands(stream)
        except TimeoutError:
            stream.close()
            raise ServerGone(f"{self.url}: no answer within {HANDSHAKE_SECONDS:g}s") from None
        except BaseException:
            stream.close()
            raise
        return WebSocketLink(WebSocketTransport(stream, protocol))

    def _connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        try:
            if parts.scheme != "ws" or not parts.hostname:
                raise ValueError("it is not ws://HOST:PORT")
            return socket.create_connection((parts.hostname, parts.port or 80), HANDSHAKE_SECONDS)
        except (OSError, ValueError) as exc:
            raise ServerGone(f"{self.url}: no app-server can be reached: {exc}") from None

    async def _shake_hands(self, stream: SocketStream) -> ClientProtocol:
        from websockets.client import ClientProtocol
        from websockets.protocol import State
        from websockets.uri import parse_uri

        protocol = ClientProtocol(parse_uri(self.url), max_size=MAX_LINE_BYTES, logger=_SILENT)
        request = protocol.connect()
        if self.token is not None:
            token = self.token.reveal() if isinstance(self.token, Secret) else self.token
            request.headers["Authorization"] = f"Bearer {token}"
        protocol.send_request(request)
        try:
            await stream.send(b"".join(protocol.data_to_send()))
        except TransportClosed:
            raise ServerGone(f"{self.url}: the connection was lost") from None
        while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
            if not (chunk := await stream.receive()):
                protocol.receive_eof()
                break
            protocol.receive_data(chunk)
        if protocol.state is not State.OPEN:
            raise ServerGone(f"{self.url}: the app-server has refused: {protocol.handshake_exc}")
        return protocol


class WebSocketLink(TransportLink):
    """A link over a WebSocket: the end of our input is a close frame, which the server answers."""

    def __init__(self, transport: WebSocketTransport) -> None:
        super().__init__(transport)
        self._websocket = transport

    async def receive(self) -> list[Line] | None:
        """Wait for messages and return them; None: the server sends no more."""
        try:
            return await super().receive()
        except TransportClosed:  # it answers pings as it reads
            return None

    async def end_input(self) -> None:
        """Send nothing more, and say so."""
        with suppress(TransportClosed), anyio.move_on_after(HANDSHAKE_SECONDS, shield=True):
            await self._websocket.leave()
        await super().end_input()
