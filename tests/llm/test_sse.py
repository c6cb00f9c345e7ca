"""Server-sent events (WHATWG HTML, section 9.2.6): however the bytes come, the events are the same."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.llm import sse
from appserver.llm.sse import EventStreamParser, EventTooLong


def parsed(*chunks: bytes) -> list[str]:
    parser = EventStreamParser()
    return [data for chunk in chunks for data in parser.feed(chunk)]


def test_an_event_is_complete_at_its_blank_line() -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: one\n") == []
    assert parser.feed(b"\ndata: two\n\ndata: th") == ["one", "two"]
    assert parser.feed(b"ree\n\n") == ["three"]


def test_what_is_incomplete_at_the_end_is_no_event() -> None:
    assert parsed(b"data: one\n\ndata: two\n") == ["one"]


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_every_line_ending_is_one(ending: bytes) -> None:
    assert parsed(ending.join([b"event: e", b"data: a", b"data: b", b"", b""])) == ["a\nb"]


def test_a_line_feed_that_follows_a_return_in_the_next_chunk_ends_no_second_line() -> None:
    assert parsed(b"data: a\r", b"\ndata: b\r", b"", b"\n\r", b"\n") == ["a\nb"]


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"data: x", "x"),
        (b"data:x", "x"),
        (b"data:  x ", " x "),
        (b"data:", ""),
        (b"data: a\ndata:\ndata: b", "a\n\nb"),
        (b"event: e\nid: 1\nretry: 5\ndata: x", "x"),
        (b"data: x\nevent: e", "x"),
        (b": data: no\ndata: x", "x"),
        (b"xdata: no\ndata: x", "x"),
        (b"data: \xc3\xa9", "\u00e9"),
        (b"data: \xff", "\ufffd"),
        (b"data: data: x", "data: x"),
    ],
)
def test_the_data_lines_of_an_event_are_joined(block: bytes, data: str) -> None:
    assert parsed(block + b"\n\n") == [data]


@pytest.mark.parametrize("block", [b": keep-alive", b"event: ping", b"", b"\n\n", b"database: x"])
def test_what_has_no_data_is_no_event(block: bytes) -> None:
    assert parsed(block + b"\n\n") == []


@pytest.mark.parametrize("cut", range(4))
def test_a_byte_order_mark_is_skipped(cut: int) -> None:
    stream = b"\xef\xbb\xbfdata: x\n\n"
    assert parsed(stream[:cut], stream[cut:]) == ["x"]


def test_an_event_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    parser = EventStreamParser()
    assert parser.feed(b"data: x\n\n" * 50)
    with pytest.raises(EventTooLong):
        parser.feed(b"data: " + b"x" * 100)


LINES = st.sampled_from(
    [b"data: one", b"data:two", b"data:", b": comment", b"event: e", b"", b"data: \xf0\x9f\x98\x80"]
)
ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDINGS), max_size=30), st.lists(st.integers(0, 400), max_size=12))
def test_any_cutting_into_chunks_gives_the_same_events(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + ending for line, ending in lines)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    assert parsed(*chunks) == parsed(stream)
    assert parsed(*(stream[at : at + 1] for at in range(len(stream)))) == parsed(stream)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=10))
def test_what_is_written_as_events_is_read_back(texts: list[str]) -> None:
    assert parsed("".join(f"data: {text}\n\n" for text in texts).encode()) == texts
