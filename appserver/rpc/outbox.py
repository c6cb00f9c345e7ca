"""Messages on their way to the client: encoded at once, sent in order, bounded by back-pressure.

`send` never waits, so that a plain function can answer. A producer of many messages awaits `drain` between its bursts:
a streaming turn does, and so does the read loop, because requests cause responses. A client that falls behind gets the
deltas of each item joined to longer ones, for any number of items side by side. Nothing is left out. A delta is joined
to an earlier one only across messages that cannot matter to its item: those that name another thread, and deltas of
other items.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from appserver import json_text
from appserver.log import log_exception
from appserver.rpc.joined_deltas import JoinedDelta, params_of_delta
from protocol import envelope, error_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from appserver.rpc.shared_notification import SharedNotification
    from protocol.envelope import Message

HIGH_WATER_BYTES = 1024 * 1024
"""Above this much unsent output, a streaming turn waits. One that streams faster than the client reads, but no faster
than that, keeps its deltas apart."""

JOIN_LOW_WATER_BYTES = 64 * 1024
"""Below this much unsent output, deltas are not joined: there is little to gain."""

STALL_SECONDS = 0.5
"""A client that takes no output for so long is not reading. Joined deltas then let the model write on for hours, where
single ones would fill the queue, and stop the model, within a minute."""

JOIN_HIGH_WATER_BYTES = 2 * HIGH_WATER_BYTES
"""Above this much unsent output, deltas are joined at once: with so many turns, their waits do not bound the queue."""

READ_HIGH_WATER_BYTES = 32 * 1024 * 1024
"""Above this much unsent output, no request is read either: its response would come on top. Far above the first mark,
because a client that writes all its requests before it reads a response is slow, not broken."""

WRITE_BYTES = 256 * 1024
"""What one write takes, or one line if that is longer: joining all that waits would double it for the time of the
write."""


LAG_BYTES = 8 * 1024 * 1024
LAG_SECONDS = 10.0
"""A client that has taken no output for so long while so much is unsent does not read any more, or not in time."""

MAX_BYTES = 64 * 1024 * 1024
"""Above this much unsent output, a client is too slow even if it reads: what others cause is for it, too, and it gets
only what is new by joined deltas. Twice what it may cause by its own requests."""


class Outbox:
    def __init__(
        self, clock: Callable[[], float] = time.monotonic, on_overflow: Callable[[], None] | None = None
    ) -> None:
        """`on_overflow`: ends the connection of a client that is too slow, where others must not wait for it."""
        self._clock = clock
        self._on_overflow = on_overflow
        self._since = 0.0
        """When the client last took something, or something first waited for it."""
        self.with_version = False
        """Whether messages carry `jsonrpc: "2.0"`: as the client's first message does."""
        self._lines: deque[bytes | JoinedDelta] = deque()
        self._growing: dict[object, dict[object, JoinedDelta]] = {}
        """Thread -> item -> the line in the queue that the item's next delta may be joined to."""
        self._unfinished = 0
        """How many lines of the queue are joined deltas, not encoded yet."""
        self._size = 0
        """About how many bytes are unsent: lines, and what is being written."""
        self._in_writing = 0
        self._closed = False
        self._filled: Event | None = None
        self._held = False
        self._waiting: dict[object, Event] = {}

    @property
    def size(self) -> int:
        """About how many bytes are unsent."""
        return self._size

    def send(self, message: Message) -> None:
        """Queue a message. Once the queue has ended, or if it cannot be encoded, it is dropped."""
        if self._closed or ((self._size > JOIN_LOW_WATER_BYTES or self._growing) and self._joined(message)):
            return
        line = self._encode(message)
        if line is not None:
            self._append(line + b"\n")

    def send_shared(self, notification: SharedNotification) -> None:
        """Queue a notification that others are sent, too."""
        message = notification.message
        if self._closed or ((self._size > JOIN_LOW_WATER_BYTES or self._growing) and self._joined(message)):
            return
        line = notification.encoded(self._encode, with_version=self.with_version)
        if line is not None:
            self._append(line + b"\n")

    def encoded(self, response: Message) -> bytes:
        """Encode a response for `send_batch`."""
        return self._encode(response) or self._encode_failure(response)

    def send_batch(self, responses: list[bytes]) -> None:
        """Queue encoded responses as one array."""
        self._growing.clear()
        if not self._closed:
            self._append(b"[" + b",".join(responses) + b"]\n")

    def hold(self) -> None:
        """Do not wake the writer before `release`: what is about to be sent goes out in one write."""
        self._held = True

    def release(self) -> None:
        """Wake the writer if there is something to take, after the tasks that have been started since `hold`."""
        self._held = False
        if self._filled is not None and (self._size or self._closed):
            self._filled.set()

    def take(self) -> bytes:
        """Return the next bytes to write; empty: there are none. Confirms that the previous ones are written."""
        self._note_written()
        if self._size > WRITE_BYTES or self._unfinished:
            data = self._some_lines()
        else:
            data = b"".join(self._lines)  # type: ignore[arg-type]  # all are bytes, as none is unfinished
            self._lines.clear()
        if not self._unfinished:
            self._growing.clear()  # what it holds has been taken
        self._in_writing = len(data)
        self._since = self._clock()
        return data

    def close(self, *, discard: bool = False) -> None:
        """End the queue. What is in it can still be taken, unless it is discarded because the client has gone."""
        self._closed = True
        if discard:
            self._discard()
        self.release()

    def close_with(self, last: Message) -> None:
        """End the queue, and discard all that is in it but for this message."""
        self._discard()
        self.send(last)
        self.close()

    @property
    def has_room(self) -> bool:
        """Whether a streaming turn need not wait for this client."""
        return self._size <= HIGH_WATER_BYTES

    async def filled(self) -> bool:
        """Wait until there is something to take. False: the queue has ended. Only one task may wait: the writer."""
        from anyio import Event  # late: `server/startup.py` uses this module before there is a loop

        self._note_written()
        if not self._size and not self._closed:
            self._filled = Event()
            await self._filled.wait()
            self._filled = None
        return self._size > 0

    async def drain(self, within: int = HIGH_WATER_BYTES) -> None:
        """Wait while more than so many bytes are unsent."""
        from anyio import Event

        while self._size > within:
            written = Event()
            self.wake_when_read(written, written)
            try:
                await written.wait()
            finally:
                self._waiting.pop(written, None)

    def wake_when_read(self, waiter: object, waiting: Event) -> None:
        """Set an event once more has been written, or the client has gone. A waiter has one event at a time."""
        self._waiting[waiter] = waiting

    def _note_written(self) -> None:
        """Subtract what was taken before: the writer asks for more, so it has been written."""
        if self._in_writing:
            self._size -= self._in_writing
            self._in_writing = 0
            self._wake()

    def _discard(self) -> None:
        self._lines.clear()
        self._growing.clear()
        self._unfinished = self._size = self._in_writing = 0
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.set()

    def _append(self, line: bytes) -> None:
        if not self._size:
            self._since = self._clock()
        self._lines.append(line)
        self._size += len(line)
        if self._filled is not None and not self._held:
            self._filled.set()
        if self._size > LAG_BYTES:
            self._check_overflow()

    def _check_overflow(self) -> None:
        """Have the connection of a client ended that is too slow."""
        has_stalled = self._clock() - self._since > LAG_SECONDS
        if self._on_overflow is not None and not self._closed and (has_stalled or self._size > MAX_BYTES):
            self._on_overflow()

    def _joined(self, message: Message) -> bool:
        """Join a delta to what its item has in the queue, or begin with it. False: the message is sent as it is."""
        params = params_of_delta(message)
        if params is None or not self._client_lags():
            self._end_growth(message)
            return False
        items = self._growing.setdefault(params["threadId"], {})
        growing = items.get(params["itemId"])
        if growing is not None and growing.takes(message):
            growing.add(params["delta"])
            self._size += len(params["delta"])
        else:
            # Also where only another kind of delta is growing: what comes next of the item must not pass this one.
            items[params["itemId"]] = growing = JoinedDelta(message)
            self._lines.append(growing)
            self._unfinished += 1
            self._size += growing.size
        if self._size > LAG_BYTES:
            self._check_overflow()
        return True

    def _end_growth(self, message: Message) -> None:
        """Join no later delta to one before this message, if it may belong behind it: if it names the same thread.

        A message that names no thread, such as a response, could be about any.
        """
        params = message.get("params")
        thread_id = params.get("threadId") if isinstance(params, dict) else None
        if isinstance(thread_id, str):
            self._growing.pop(thread_id, None)
        else:
            self._growing.clear()

    def _client_lags(self) -> bool:
        waits = self._clock() - self._since
        return self._size > JOIN_HIGH_WATER_BYTES or (self._size > JOIN_LOW_WATER_BYTES and waits > STALL_SECONDS)

    def _some_lines(self) -> bytes:
        lines: list[bytes] = []
        size = 0
        while self._lines:
            line = self._first_line()
            size += len(line)
            if lines and size > WRITE_BYTES:
                break
            lines.append(line)
            self._lines.popleft()
        return b"".join(lines)

    def _first_line(self) -> bytes:
        """Return the first line of the queue. Nothing is joined to it any more: it is about to be taken."""
        first = self._lines[0]
        if isinstance(first, bytes):
            return first
        line = self._encode(first.finish())
        self._lines[0] = line = b"" if line is None else line + b"\n"
        self._size += len(line) - first.size
        self._unfinished -= 1
        return line

    def _encode(self, message: Message) -> bytes | None:
        """Encode a message. Never raises: a fault of ours must not cost more than this one message.

        A response that cannot be encoded becomes an internal error, anything else None. Both are logged.
        """
        try:
            return json_text.encode({"jsonrpc": "2.0", **message} if self.with_version else message).encode("ascii")
        except Exception as exc:  # noqa: BLE001 - a value may have any fault; what it is stands in the log
            log_exception("a message could not be encoded", exc)
        return None if "method" in message else self._encode_failure(message)

    def _encode_failure(self, response: Message) -> bytes:
        """Encode the internal error that takes the place of a response."""
        error = envelope.error(response["id"], error_codes.INTERNAL_ERROR, "Internal error")
        return json_text.encode({"jsonrpc": "2.0", **error} if self.with_version else error).encode("ascii")
