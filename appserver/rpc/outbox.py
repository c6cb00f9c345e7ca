"""Messages on their way to the parent: encoded at once, sent in order, bounded by back-pressure.

`send` never waits, so that a plain function can answer. Whoever produces much awaits `room` between its bursts: a
streaming turn, and the read loop for the sake of the answers it causes. A parent that falls behind gets the deltas of
one item joined to longer ones; nothing is left out, and nothing changes its place.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeGuard

from appserver.rpc.codec import encode, encode_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from protocol.envelope import Message

HIGH_WATER_BYTES = 1024 * 1024
"""Above this much unsent output, a streaming turn waits. One that streams faster than the parent reads, but no faster
than that, keeps its deltas apart."""

JOIN_BYTES = 64 * 1024
"""Below this much unsent output, nothing is joined: it is not worth the trouble."""

STALL_SECONDS = 0.5
"""A parent that has let output lie for so long is not reading. Text that is joined then lets the model write on for
hours where single deltas would have filled the queue, and stopped the model, within a minute."""

FLOOD_BYTES = 2 * HIGH_WATER_BYTES
"""Above this much, deltas are joined at once: so many turns write at the same time that waiting does not bound it."""

BRIM_BYTES = 32 * 1024 * 1024
"""Above this much unsent output, no request is read either: its answer would come on top. Far above the high water,
because a parent that writes all its requests before it reads an answer is slow, not broken."""

WRITE_BYTES = 256 * 1024
"""What one write takes, or one line if that is longer: joining all that waits would double it for the time of the
write."""


class Outbox:
    """The outgoing side of a connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        """When the parent last took something, or something first waited for it."""
        self.with_version = False
        """Whether messages carry `jsonrpc: "2.0"`: as the parent's first message does."""
        self._lines: deque[bytes] = deque()
        self._size = 0
        """About how many bytes are unsent: lines, what is growing, and what is being written."""
        self._in_writing = 0
        self._growing: _Growing | None = None
        """The last message, while it may still be joined with the next one. Comes after all lines."""
        self._closed = False
        self._filled: Event | None = None
        self._drained: Event | None = None

    def send(self, message: Message) -> None:
        """Queue a message. Once the queue has ended, or if it cannot be encoded, it is dropped (`codec.encode`)."""
        if self._closed or ((self._size > JOIN_BYTES or self._growing is not None) and self._joined(message)):
            return
        line = encode(self._versioned(message))
        if line is not None:
            self._append(line + b"\n")

    def encoded(self, response: Message) -> bytes:
        """Encode a response for `send_batch`."""
        return encode_response(self._versioned(response))

    def send_batch(self, responses: list[bytes]) -> None:
        """Queue encoded responses as one array."""
        if not self._closed:
            self._settle()
            self._append(b"[" + b",".join(responses) + b"]\n")

    def take(self) -> bytes:
        """Return the next bytes to write, and forget them; empty: there are none. What was taken before is written."""
        self._note_written()
        if not self._lines:
            self._settle()
        if self._size <= WRITE_BYTES:
            data = b"".join(self._lines)
            self._lines.clear()
        else:
            data = self._some_lines()
        self._in_writing = len(data)
        self._since = self._clock()
        return data

    def close(self, *, discard: bool = False) -> None:
        """End the queue: what is in it may still be taken, unless it is discarded because nobody reads any more."""
        self._closed = True
        if discard:
            self._lines.clear()
            self._growing, self._size, self._in_writing = None, 0, 0
            self._wake()
        if self._filled is not None:
            self._filled.set()

    async def filled(self) -> bool:
        """Wait until there is something to take. False: the queue has ended. For one waiter, the writer."""
        from anyio import Event  # late: the porch uses this module before there is a loop

        self._note_written()
        if not self._size and not self._closed:
            self._filled = Event()
            await self._filled.wait()
            self._filled = None
        return self._size > 0

    async def room(self, within: int = HIGH_WATER_BYTES) -> None:
        """Wait while more than so many bytes are unsent."""
        from anyio import Event

        while self._size > within:
            if self._drained is None:
                self._drained = Event()
            await self._drained.wait()

    def _note_written(self) -> None:
        """Forget what was taken before: the writer is back, so it has been written."""
        if self._in_writing:
            self._size -= self._in_writing
            self._in_writing = 0
            self._wake()

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _append(self, line: bytes) -> None:
        if not self._size:
            self._since = self._clock()
        self._lines.append(line)
        self._size += len(line)
        if self._filled is not None:
            self._filled.set()

    def _joined(self, message: Message) -> bool:
        """Join a delta to the one that is growing, or let it be the one that grows. False: it is not to be joined."""
        if not _is_delta(message) or not self._parent_lags():
            self._settle()
            return False
        if self._growing is None or not self._growing.takes(message):
            self._settle()
            self._growing = _Growing(message)
            self._size += self._growing.size
        else:
            self._size += self._growing.add(message)
        return True

    def _parent_lags(self) -> bool:
        waits = self._clock() - self._since
        return self._size > FLOOD_BYTES or (self._size > JOIN_BYTES and waits > STALL_SECONDS)

    def _settle(self) -> None:
        """Make a line of what has been growing."""
        if self._growing is not None:
            growing, self._growing = self._growing, None
            self._size -= growing.size
            line = encode(self._versioned(growing.message()))
            if line is not None:
                self._append(line + b"\n")

    def _some_lines(self) -> bytes:
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= WRITE_BYTES:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return b"".join(lines)

    def _versioned(self, message: Message) -> Message:
        return {"jsonrpc": "2.0", **message} if self.with_version else message


class _Growing:
    """A delta that waits, and those that have been joined to it."""

    def __init__(self, first: Message) -> None:
        self._first = first
        self._pieces: list[str] = [first["params"]["delta"]]
        self.size = len(self._pieces[0])
        """About how many bytes it adds to the queue."""

    def takes(self, message: Message) -> bool:
        """Whether a delta continues this one: of the same kind, for the same place."""
        mine, other = self._first["params"], message["params"]
        return bool(
            message["method"] == self._first["method"]
            and mine.keys() == other.keys()
            and all(name == "delta" or mine[name] == other[name] for name in mine)
        )

    def add(self, message: Message) -> int:
        """Join a delta to this one. Returns what it adds to the size."""
        piece: str = message["params"]["delta"]
        self._pieces.append(piece)
        self.size += len(piece)
        return len(piece)

    def message(self) -> Message:
        """Return them as one."""
        return {**self._first, "params": {**self._first["params"], "delta": "".join(self._pieces)}}


def _is_delta(message: Message) -> TypeGuard[dict[str, Any]]:
    """Whether a message is a notification that adds text to what an earlier one began."""
    if "id" in message:
        return False
    params = message.get("params")
    return isinstance(params, dict) and isinstance(params.get("delta"), str)
