"""One client's socket, read in pieces of a size that its reader chooses.

Nothing is read ahead: anyio's own streams buffer what the event loop receives, without a bound.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from anyio import wait_readable, wait_writable
from anyio.lowlevel import checkpoint

from appserver.loopback.messages import Disconnect

if TYPE_CHECKING:
    from types import TracebackType


class Stream:
    """A connected socket. The stream owns it and closes it at the end of a `with` block."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        raw.setblocking(False)
        with suppress(OSError):  # the client has left already; reading will tell
            # Else a small item of a body waits for the acknowledgement of the one before.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._raw.close()

    async def receive(self, size: int) -> bytes:
        """Return what has arrived, at most `size` bytes; b"" once the client sends no more."""
        waited = False
        while True:
            try:
                data = self._raw.recv(size)
            except BlockingIOError:
                await wait_readable(self._raw)
                waited = True
                continue
            except OSError:
                return b""
            if not waited:
                await checkpoint()  # a client that never pauses must not keep the event loop from the others
            return data

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises Disconnect if the client has gone."""
        await checkpoint()
        left = memoryview(data)
        while left:
            try:
                left = left[self._raw.send(left) :]
            except BlockingIOError:
                await wait_writable(self._raw)
            except OSError:
                raise Disconnect from None

    def end(self) -> None:
        """Send no more; the client can still be read."""
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_WR)

    def has_unread(self) -> bool:
        """Whether the client has sent something that was not read yet."""
        try:
            return bool(self._raw.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
