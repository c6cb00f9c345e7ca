"""Messages on their way to the parent: encoded at once, sent in order, bounded by back-pressure.

`send` never waits, so that a plain function can answer. Whoever produces much (a streaming turn) awaits `room`
between its bursts: a parent that stops reading stops the stream instead of filling our memory.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyio import Event

    from protocol.envelope import Message

HIGH_WATER_BYTES = 1024 * 1024
"""Above this much unsent output, `room` waits."""

# ASCII only: a lone surrogate from a parent's JSON survives the way back, and no line separator such as U+2028
# stands in a line that some client splits by Unicode rules.
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


class Outbox:
    """The outgoing side of a connection."""

    def __init__(self) -> None:
        self.with_version = False
        """Whether messages carry `jsonrpc: "2.0"`: as the parent's first message does."""
        self._lines: list[bytes] = []
        self._size = 0
        self._closed = False
        self._filled: Event | None = None
        self._drained: Event | None = None

    def send(self, message: Message | list[Message]) -> None:
        """Queue a message, or a batch of responses. Once the queue has ended, it is dropped."""
        if self._closed:
            return
        line = _encode(self._versioned(message)).encode("ascii") + b"\n"
        self._lines.append(line)
        self._size += len(line)
        if self._filled is not None:
            self._filled.set()

    def take(self) -> bytes:
        """Return everything that is queued, and forget it."""
        data = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        return data

    def close(self, *, discard: bool = False) -> None:
        """End the queue: what is in it may still be taken, unless it is discarded because nobody reads any more."""
        self._closed = True
        if discard:
            self.take()
        if self._filled is not None:
            self._filled.set()

    async def filled(self) -> bool:
        """Wait until there is something to take. False: the queue has ended. For one waiter, the writer."""
        from anyio import Event  # late: the porch uses this module before there is a loop

        if not self._lines and not self._closed:
            self._filled = Event()
            await self._filled.wait()
            self._filled = None
        return bool(self._lines)

    async def room(self) -> None:
        """Wait while too much is unsent."""
        from anyio import Event

        while self._size > HIGH_WATER_BYTES:
            if self._drained is None:
                self._drained = Event()
            await self._drained.wait()

    def _versioned(self, message: Message | list[Message]) -> Message | list[Message]:
        if not self.with_version:
            return message
        if isinstance(message, list):
            return [{"jsonrpc": "2.0", **entry} for entry in message]
        return {"jsonrpc": "2.0", **message}
