"""Bytes to lines: newline-delimited JSON, with a cap on the size of a line.

Pure: no descriptors, no JSON. Memory stays within the cap plus one chunk however long a line gets, and the time is
linear: a chunk is searched for its newline once.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

DEFAULT_MAX_LINE_BYTES = 32 * 1024 * 1024
HEAD_BYTES = 4096
"""How much of a line that is too long is kept, to read the id of the request from."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What .NET writes first to a pipe with an encoding of UTF-8. RFC 8259, section 8.1: a reader may ignore it."""


class Oversized(NamedTuple):
    """A line that was longer than the cap and has been skipped."""

    head: bytes
    size: int


Line: TypeAlias = bytes | Oversized


class LineSplitter:
    """Cuts a stream of chunks into lines. A last line without LF comes from `finish`.

    Dropped: CR before LF, and a byte order mark before the first line.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        self._max = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._mark = BYTE_ORDER_MARK

    def feed(self, chunk: bytes) -> list[Line]:
        """Take a chunk and return the lines that it completes."""
        first, *rest = chunk.split(b"\n")
        self._append(first)
        lines: list[Line] = []
        for part in rest:
            lines.append(self._take())
            self._append(part)
        return lines

    def finish(self) -> list[Line]:
        """Return the line after the last newline, if any. To be called when the stream has ended."""
        return [self._take()] if self._size else []

    def _append(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max:
            if part:
                self._parts.append(part)
        elif self._parts or part:
            self._parts = [_head([*self._parts, part])]

    def _take(self) -> Line:
        line, size = b"".join(self._parts), self._size
        self._parts, self._size = [], 0
        mark, self._mark = self._mark, b""
        if size > self._max:
            return Oversized(line, size)
        return line.removeprefix(mark).removesuffix(b"\r")


def _head(parts: list[bytes]) -> bytes:
    """Join the beginning only: joining all of them would hold the line twice."""
    head = b""
    for part in parts:
        head += part[: HEAD_BYTES - len(head)]
        if len(head) == HEAD_BYTES:
            break
    return head
