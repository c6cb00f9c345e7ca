"""What the benchmarks send: text, and pictures of noise, of any size. A megabyte is 10**6 bytes on the wire."""

from __future__ import annotations

import base64
import random
import struct
import zlib

MEGABYTE = 1_000_000

_LINE = "The quick brown fox jumps over the lazy dog, and then it does the same again\n"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_ROW_BYTES = 3 * 1024


def words(characters: int) -> str:
    """Return so many characters of plain ASCII text, in lines."""
    return (_LINE * (characters // len(_LINE) + 1))[:characters]


def picture(characters: int) -> str:
    """Return a data URL of about so many characters: a PNG that nothing compresses."""
    rows = max(1, characters * 3 // 4 // _ROW_BYTES)
    noise = random.Random(rows)
    pixels = b"".join(b"\0" + noise.randbytes(_ROW_BYTES) for _ in range(rows))
    size = struct.pack(">IIBBBBB", _ROW_BYTES // 3, rows, 8, 2, 0, 0, 0)
    chunks = (("IHDR", size), ("IDAT", zlib.compress(pixels, 0)), ("IEND", b""))
    data = _PNG_HEAD + b"".join(_chunk(kind.encode(), content) for kind, content in chunks)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
