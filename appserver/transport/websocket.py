"""One client that speaks WebSocket (RFC 6455) over a connected socket: one JSON-RPC message per text message.

The protocol itself is the `websockets` package's, without its I/O. Nothing is compressed, so a message is as long as it
says. Who may connect is `transport/upgrade.py`'s concern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import Lock, move_on_after
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from appserver.log import log_info
from appserver.transport.base import Ending, TransportClosed

if TYPE_CHECKING:
    from websockets.protocol import Protocol

    from appserver.transport.framing import Line
    from appserver.transport.sockets import SocketStream

PING_SECONDS = 20.0
"""Without a byte from the client for so long, it is sent a ping."""

PONG_SECONDS = 20.0
"""What it gets to answer, or to take some of what it is being sent. Then the link is taken to be half open."""

CLOSES = {
    Ending.STOPPED: (CloseCode.GOING_AWAY, "the server ends"),
    Ending.TOO_SLOW: (CloseCode.POLICY_VIOLATION, "too much output has not been read"),
    Ending.LEFT: (CloseCode.NORMAL_CLOSURE, ""),
    Ending.REVOKED: (CloseCode.POLICY_VIOLATION, "access was revoked"),
}


class WebSocketTransport:
    """Messages in and out, over a WebSocket whose opening handshake is done."""

    def __init__(
        self,
        stream: SocketStream,
        protocol: Protocol,
        ping_seconds: float = PING_SECONDS,
        pong_seconds: float = PONG_SECONDS,
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._sending = Lock()
        """Two tasks write: the connection's writer, and its reader, which answers pings."""
        self._pieces: list[bytes] = []
        self.peer_closed = stream.peer_closed
        self.close = stream.close

    async def receive(self) -> list[Line] | None:
        """Wait for messages and return them, or None once the client has closed, or broken the protocol."""
        while True:
            messages = self._messages()
            await self._flush()
            if messages:
                return messages
            if self._protocol.state is not State.OPEN:
                self._note_failure()
                return None
            chunk = await self._receive_chunk()
            if chunk:
                self._protocol.receive_data(chunk)
            else:
                self._protocol.receive_eof()

    async def send(self, data: bytes) -> None:
        """Send lines, a message each, waiting while the reader is slow. Raises TransportClosed."""
        try:
            for line in data.split(b"\n"):
                if line:
                    self._protocol.send_text(line)
        except InvalidState as exc:
            raise TransportClosed from exc
        await self._flush()

    async def finish(self, ending: Ending) -> None:
        """Close the WebSocket with a code and a reason, and wait until the client has closed it, too."""
        if self._protocol.state is State.OPEN:
            await self.leave(ending)
            while chunk := await self._stream.receive():  # the socket would be reset if this was left unread
                self._protocol.receive_data(chunk)

    async def leave(self, ending: Ending = Ending.LEFT) -> None:
        """Say that no more is sent. `receive` returns None once the other end has answered. Raises TransportClosed."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(*CLOSES[ending])
            await self._flush()

    async def _receive_chunk(self) -> bytes:
        """Wait for bytes; none at the end, or where the client gives no sign of life."""
        chunk = await self._receive_within(self._ping_seconds)
        while chunk is None:
            if not self._sending.locked():  # else it is behind with what it is sent, and a ping would only queue up
                self._protocol.send_ping(b"")
                await self._flush()
            taken = self._stream.sent
            chunk = await self._receive_within(self._pong_seconds)
            if chunk is None and self._stream.sent == taken:
                log_info("a WebSocket client gives no sign of life: its connection is closed")
                return b""
        return chunk

    async def _receive_within(self, seconds: float) -> bytes | None:
        with move_on_after(seconds):
            return await self._stream.receive()
        return None

    def _messages(self) -> list[Line]:
        """Return the messages that are whole by now."""
        messages: list[Line] = []
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            if frame.opcode is Opcode.BINARY:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "messages are text")
                break
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                messages.append(b"".join(self._pieces))
                self._pieces.clear()
        return messages

    async def _flush(self) -> None:
        """Send what the protocol wants sent. Raises TransportClosed."""
        if not (wanted := b"".join(self._protocol.data_to_send())):
            return
        async with self._sending:  # in the order of the callers, as nothing is awaited before
            await self._stream.send(wanted)

    def _note_failure(self) -> None:
        """Log what the client has done wrong, if it has."""
        close = self._protocol.close_sent
        if close is not None and close.code in (CloseCode.MESSAGE_TOO_BIG, CloseCode.PROTOCOL_ERROR):
            log_info(f"a WebSocket client was left with close code {int(close.code)}: {close.reason}")
