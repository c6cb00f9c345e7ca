from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.settings.tables import drop, is_set, join_key, lay_over, put, split_key, split_override


@pytest.mark.parametrize(
    ("text", "parts", "value"),
    [
        ("model=a", ("model",), "a"),
        ("a.b . c = d=e", ("a", "b", "c"), " d=e"),
        ('mcp_servers."a.b".enabled=false', ("mcp_servers", "a.b", "enabled"), "false"),
        ("mcp_servers.'a=b'.enabled=false", ("mcp_servers", "a=b", "enabled"), "false"),
        (r'"a\"b".c=1', ('a"b', "c"), "1"),
        ('"".a=1', ("", "a"), "1"),
        ("model_providers.my own.name=x", ("model_providers", "my own", "name"), "x"),
        ("x=", ("x",), ""),
    ],
)
def test_a_quoted_part_of_a_key_is_one_part(text: str, parts: tuple[str, ...], value: str) -> None:
    assert split_override(text) == (parts, value)


@pytest.mark.parametrize("text", ["", "=", "=x", "model", ".=x", "a..b=x", ".a=x", "a.=x", "   =x", '"a=x', 'a"b=x'])
def test_what_is_not_of_the_form_key_value_is_told_apart(text: str) -> None:
    assert split_override(text) is None


def test_a_key_that_cannot_be_split_is_one_part() -> None:
    assert split_key("a.b") == ("a", "b")
    assert split_key('a."b.c"') == ("a", "b.c")
    assert split_key("..") == ("..",)
    assert split_key("") == ("",)


bare = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'.="), min_size=1)


@given(st.lists(bare, min_size=1))
def test_a_key_that_was_joined_splits_into_the_same_parts(parts: list[str]) -> None:
    assert split_key(join_key(tuple(parts))) == tuple(parts)


tables = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict))


@given(tables, tables)
def test_a_table_laid_over_another_wins_and_changes_neither(below: dict[str, Any], above: dict[str, Any]) -> None:
    before = repr(below), repr(above)
    joined: dict[str, Any] = {}
    lay_over(joined, below)
    lay_over(joined, above)
    assert (repr(below), repr(above)) == before
    for key, value in above.items():
        assert joined[key] == value or isinstance(value, dict)
    for key, value in below.items():
        assert key in above or joined[key] == value


def test_values_are_put_at_the_end_of_their_key_and_dropped_there() -> None:
    values: dict[str, Any] = {"a": {"b": 1}}
    put(values, ("a", "c"), 2)
    put(values, ("a", "b"), {"d": 3})
    put(values, ("a", "b", "e"), None)
    assert values == {"a": {"b": {"d": 3, "e": None}, "c": 2}}
    assert is_set(values, ("a", "b", "e"))
    assert not is_set(values, ("a", "c", "e"))
    drop(values, ("a", "b"))
    assert values == {"a": {"c": 2}}
