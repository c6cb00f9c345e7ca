from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import SupportsIndex

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from appserver.transport.framing import BYTE_ORDER_MARK, HEAD_BYTES, Line, LineSplitter, Oversized

MEBIBYTE = 1024 * 1024

streams = st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", BYTE_ORDER_MARK])).map(
    b"".join
)


def split(chunks: list[bytes], max_bytes: int = MEBIBYTE) -> list[Line]:
    splitter = LineSplitter(max_bytes)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


def expected(stream: bytes, max_bytes: int) -> list[Line]:
    """What a reader does that holds the whole stream."""
    *lines, rest = stream.split(b"\n")
    found: list[Line] = [
        Oversized(line[:HEAD_BYTES], len(line)) if len(line) > max_bytes else line.removesuffix(b"\r")
        for line in [*lines, *([rest] if rest else [])]
    ]
    if found and isinstance(found[0], bytes):
        found[0] = found[0].removeprefix(BYTE_ORDER_MARK)
    return found


@given(streams, st.lists(st.integers(min_value=0, max_value=200)), st.integers(min_value=1, max_value=20))
def test_any_chunking_of_any_bytes_gives_the_same_lines(stream: bytes, cuts: list[int], max_bytes: int) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert split(chunks, max_bytes) == expected(stream, max_bytes)


@given(streams)
def test_single_bytes_give_the_same_lines_as_one_chunk(stream: bytes) -> None:
    assert split([bytes([byte]) for byte in stream]) == split([stream])


def test_lines_end_with_lf_or_crlf_and_a_lone_cr_is_part_of_a_line() -> None:
    assert split([b"one\ntwo\r\nth\ree\n\r\n\n"]) == [b"one", b"two", b"th\ree", b"", b""]


def test_crlf_is_dropped_also_where_a_chunk_ends_between_the_two() -> None:
    assert split([b"one\r", b"\ntwo\r\r", b"\n"]) == [b"one", b"two\r"]


def test_a_byte_order_mark_is_dropped_before_the_first_line_alone() -> None:
    mark = BYTE_ORDER_MARK
    assert split([mark + b"one\n" + mark + b"two\n"]) == [b"one", mark + b"two"]
    assert split([mark[:1], mark[1:], b"one"]) == [b"one"]
    assert split([b"\n", mark]) == [b"", mark]


def test_a_last_line_without_a_newline_is_still_a_line() -> None:
    assert split([b"one\ntwo"]) == [b"one", b"two"]
    assert split([b"one\n"]) == [b"one"]
    assert split([]) == []


def test_nothing_is_left_after_the_end() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one") == []
    assert splitter.finish() == [b"one"]
    assert splitter.finish() == []


def test_a_line_of_exactly_the_cap_is_taken_and_one_byte_more_is_not() -> None:
    assert split([b"x" * 10 + b"\n"], max_bytes=10) == [b"x" * 10]
    assert split([b"x" * 11 + b"\n"], max_bytes=10) == [Oversized(b"x" * 11, 11)]


def test_what_follows_an_oversized_line_is_read_as_usual() -> None:
    assert split([b"x" * 25, b"y\nnext\n" + b"z" * 11], max_bytes=10) == [
        Oversized(b"x" * 25 + b"y", 26),
        b"next",
        Oversized(b"z" * 11, 11),
    ]


def test_the_head_of_an_oversized_line_is_its_beginning_however_it_came() -> None:
    line = bytes(range(97, 123)) * 1000
    for size in (1, 7, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, len(line)):
        chunks = [line[start : start + size] for start in range(0, len(line), size)]
        assert split(chunks, max_bytes=100) == [Oversized(line[:HEAD_BYTES], len(line))]


def test_a_line_of_any_length_does_not_take_more_memory_than_the_cap_and_a_chunk() -> None:
    chunk = b"x" * 65536
    splitter = LineSplitter(MEBIBYTE)
    tracemalloc.start()
    try:
        for _ in range(512):
            assert splitter.feed(bytes(bytearray(chunk))) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEBIBYTE + 4 * len(chunk)
    assert splitter.feed(b"\n") == [Oversized(chunk[:HEAD_BYTES], 512 * len(chunk))]


def test_each_byte_is_looked_at_once_however_many_chunks_a_line_comes_in() -> None:
    searched = 0

    class Chunk(bytes):
        def split(self, sep: Buffer | None = None, maxsplit: SupportsIndex = -1) -> list[bytes]:
            nonlocal searched
            searched += len(self)
            return super().split(sep, maxsplit)

    splitter = LineSplitter()
    for _ in range(10_000):
        assert splitter.feed(Chunk(b"x" * 64)) == []
    assert splitter.feed(Chunk(b"\n")) == [b"x" * 640_000]
    assert searched == 640_001
