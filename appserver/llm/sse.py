"""Server-sent events: bytes to the data of each event (WHATWG HTML, section 9.2.6).

Pure and incremental. Only `data` is kept: the backend repeats the event's name inside it. Comments, which serve as
keep-alives, vanish here; that bytes came at all is what resets the idle timer.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""A longer event is a fault of the backend: pictures come in the tens of megabytes at most."""


class EventTooLong(Exception):
    """An event did not end within MAX_EVENT_BYTES."""


class EventStreamParser:
    """Cuts a byte stream into events. What is incomplete at the end of the stream is no event."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._cr_waits = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes and return the data of each event that they complete."""
        if self._cr_waits or b"\r" in chunk:
            chunk = self._with_newlines(chunk)
        buffer = self._buffer
        buffer += chunk
        found: list[bytes] = []
        start = 0
        while (end := buffer.find(b"\n\n", max(start, self._searched))) >= 0:
            data = _data(bytes(buffer[start:end]))
            if data is not None:
                found.append(data)
            start = end + 2
        if start:
            del buffer[:start]
        if len(buffer) > MAX_EVENT_BYTES:
            raise EventTooLong
        self._searched = max(len(buffer) - 1, 0)
        return found

    def _with_newlines(self, chunk: bytes) -> bytes:
        """Turn CRLF and CR into LF. A CR at the end of a chunk waits: an LF may follow in the next."""
        if self._cr_waits:
            chunk = b"\r" + chunk
        self._cr_waits = chunk.endswith(b"\r")
        if self._cr_waits:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(block: bytes) -> bytes | None:
    """Return the data of one event: its data lines, joined; None if it has none."""
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    if not lines:
        return None
    return lines[0] if len(lines) == 1 else b"\n".join(lines)
