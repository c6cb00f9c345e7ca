from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appserver.gateway.chat.stop import StopSequences

LETTERS = st.text(alphabet="ab", max_size=12)


def before_first(text: str, sequences: list[str]) -> str:
    return text[: min((at for one in sequences if (at := text.find(one)) >= 0), default=len(text))]


@given(st.lists(LETTERS, max_size=6), st.lists(st.text(alphabet="ab", min_size=1, max_size=4), min_size=1, max_size=4))
def test_all_text_before_the_first_stop_sequence_passes_and_no_other(pieces: list[str], sequences: list[str]) -> None:
    stop, passed = StopSequences(sequences), ""
    for piece in pieces:
        passed += stop.feed(piece)
        if stop.found:
            break
    passed += stop.flush()
    whole = "".join(pieces)
    assert stop.found == any(one in whole for one in sequences)
    # Which of two overlapping sequences ends first decides, as it does for a model that is stopped at it.
    assert before_first(whole, sequences) in (passed, passed[: len(before_first(whole, sequences))])
    assert whole.startswith(passed)


@given(st.lists(LETTERS, min_size=1), st.lists(st.text(alphabet="cd", min_size=1), min_size=1))
def test_what_cannot_begin_a_stop_sequence_passes_at_once(pieces: list[str], sequences: list[str]) -> None:
    stop = StopSequences(sequences)
    assert [stop.feed(piece) for piece in pieces] == pieces


def test_a_sequence_may_come_in_any_number_of_pieces() -> None:
    stop = StopSequences(["END"])
    assert [stop.feed(piece) for piece in ("a", "E", "N", "b", "E", "N", "D", "c")][:7] == [
        "a",
        "",
        "",
        "ENb",
        "",
        "",
        "",
    ]
    assert stop.found
