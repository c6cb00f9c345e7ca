"""Accepting WebSocket clients at a TCP port, each of which shows a token."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from appserver.transport.accepting import accept
from appserver.transport.refusals import Refusals
from appserver.transport.sockets import SocketStream
from appserver.transport.tcp_port import url_of
from appserver.transport.upgrade import upgrade

if TYPE_CHECKING:
    from appserver.transport.base import Transport
    from appserver.transport.upgrade import Policy


class TcpListener:
    """Accepts clients at a TCP socket."""

    def __init__(self, listening: socket.socket, policy: Policy, max_message_bytes: int) -> None:
        listening.setblocking(False)
        self._socket = listening
        self._policy = policy
        self._max_message_bytes = max_message_bytes
        self._refusals = Refusals(url_of(listening))

    async def accept(self) -> TcpArrival | None:
        """Wait for the next client. None: no other can come."""
        connected = await accept(self._socket)
        if connected is None:
            return None
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return TcpArrival(SocketStream(connected), self._policy, self._refusals, self._max_message_bytes)

    def withdraw(self) -> None:
        """Do nothing: a port cannot be hidden from clients that have connected."""

    def close(self) -> None:
        """Accept no more."""
        self._socket.close()


class TcpArrival:
    """A client that has connected and not shown its token yet."""

    def __init__(self, stream: SocketStream, policy: Policy, refusals: Refusals, max_message_bytes: int) -> None:
        self._stream = stream
        self._policy = policy
        self._refusals = refusals
        self._max_message_bytes = max_message_bytes
        self.close = stream.close

    async def open(self) -> Transport | None:
        """Do the opening handshake."""
        return await upgrade(self._stream, self._policy, self._refusals, self._max_message_bytes)
