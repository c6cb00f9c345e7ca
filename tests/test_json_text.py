from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
READERS = [json_text.decode, json_text.decode_leniently, json_text.decode_stored]


@given(VALUES)
def test_a_value_reads_back_the_same_from_one_line_of_ascii(value: object) -> None:
    text = json_text.encode(value)
    assert text.isascii()
    assert "\n" not in text
    for read in READERS:
        assert read(text) == value


@given(VALUES)
def test_a_value_reads_back_the_same_from_utf8(value: object) -> None:
    assert json_text.decode(json_text.encode_utf8(value).decode()) == value


@pytest.mark.parametrize("text", ["\ud800", "é\udfff€"])
def test_a_lone_surrogate_is_written_in_utf8_as_an_escape(text: str) -> None:
    assert json.loads(json_text.encode_utf8({"x": [text]})) == {"x": [text]}


@given(st.recursive(st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_numbers_are_written_any_parser_reads_the_text(value: object) -> None:
    for text in (json_text.encode(value), json_text.encode_utf8(value)):
        json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_written_as_null(number: float) -> None:
    value, text = {"x": [number, (number, 1.5)], "y": number}, '{"x":[null,[null,1.5]],"y":null}'
    assert json_text.encode(value) == text
    assert json_text.encode_utf8(value) == text.encode()


@pytest.mark.parametrize("value", [object(), {1, 2}, b"", {(): 1}])
def test_what_json_cannot_say_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        json_text.encode(value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_json_does_not_have_is_refused_from_clients_and_null_from_others(number: str) -> None:
    with pytest.raises(ValueError, match=r"is not JSON|out of range"):
        json_text.decode(f'{{"x": {number}}}')
    assert json_text.decode_leniently(f'{{"x": {number}}}') == {"x": None}
    assert json_text.decode_stored(f'{{"x": {number}}}') == {"x": None}


@pytest.mark.parametrize("read", [json_text.decode, json_text.decode_leniently])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"x":', "}"), ('[{"x":', "}]")])
def test_depth_is_bounded(read: Any, opens: str, closes: str) -> None:  # noqa: ANN401 - a function
    most = json_text.MAX_DEPTH // (len(opens) - len(opens.replace("[", "").replace("{", "")))
    read(opens * most + "1" + closes * most)
    for levels in (most + 1, 100_000):
        with pytest.raises(json_text.TooDeep, match="128 levels"):
            read(opens * levels + "1" + closes * levels)


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    for text in ('"' + "[" * 1000 + '"', "[" + "[]," * 1000 + "[]]", '[{"a":[' + "{}," * 500 + "{}]}]"):
        json_text.decode(text)


def test_what_is_stored_is_read_at_any_depth() -> None:
    assert json_text.decode_stored("[" * 300 + "]" * 300)


@given(st.text(alphabet='{}[]":,0123eE+-.NaInfty \\u', max_size=40))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for read in READERS:
        try:
            value = read(text)
        except ValueError:
            continue
        json.dumps(value, allow_nan=False)
