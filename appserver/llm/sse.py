"""Server-sent events: bytes to the data of each event (WHATWG HTML, section 9.2.6).

Pure and incremental. Only `data` is kept: the backend repeats the event's name inside it. Comments, which serve as
keep-alives, vanish here; that bytes came at all is what resets the idle timer. An event can be tens of megabytes long
(the whole of an answer, at its end), so its bytes are copied once, into the text that comes out.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""A longer event is a fault of the backend: images have tens of megabytes at most."""

_BOM = b"\xef\xbb\xbf"
_NEWLINE = 0x0A


class EventTooLong(Exception):
    """An event did not end within MAX_EVENT_BYTES."""


class EventStreamParser:
    """Cuts a byte stream into events. What is incomplete at the end of the stream is no event."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes and return the data of each event that they complete. Raises EventTooLong."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_newlines(chunk)
        buffer = self._buffer
        buffer += chunk
        if not self._begun:
            self._skip_bom()
        found: list[str] = []
        start = 0
        while (end := buffer.find(b"\n\n", max(start, self._searched))) >= 0:
            data = _data(buffer, start, end)
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
        """Turn CRLF and CR into LF. A CR at the end of a chunk is one at once; an LF that follows belongs to it."""
        if not chunk:
            return chunk
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _skip_bom(self) -> None:
        if len(self._buffer) >= len(_BOM):
            self._begun = True
            if self._buffer.startswith(_BOM):
                del self._buffer[: len(_BOM)]


def _data(buffer: bytearray, start: int, end: int) -> str | None:
    """Return the data of the event that stands between start and end: its data lines, joined; None if it has none."""
    first = buffer.find(b"data:", start, end)
    if first < 0:
        return None
    if buffer.find(b"\n", first, end) < 0 and (first == start or buffer[first - 1] == _NEWLINE):
        return _value(buffer, first, end)  # nearly every event: one such line, and it is the last
    lines = []
    while start < end:
        stop = buffer.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        if buffer.startswith(b"data:", start, stop):
            lines.append(_value(buffer, start, stop))
        start = stop + 1
    return "\n".join(lines) if lines else None


def _value(buffer: bytearray, start: int, stop: int) -> str:
    """Return what a data line says: one space after the colon is not part of it."""
    start += 6 if buffer.startswith(b" ", start + 5, stop) else 5
    return str(memoryview(buffer)[start:stop], "utf-8", "replace")
