"""Input items that a client writes itself: which may join a history."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import InvalidParams
from appserver.turns.response_items import taken

CALL = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "done"}


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


@pytest.mark.parametrize(
    "item",
    [
        message("x"),
        message("x", "developer"),
        {"type": "message", "role": "user", "content": "plain"},
        {"type": "reasoning", "summary": [], "encrypted_content": "e"},
        CALL,
        {"type": "custom_tool_call", "name": "f", "input": "", "call_id": "c1"},
        {"type": "web_search_call", "action": {}},
    ],
)
def test_an_item_of_the_responses_api_is_taken_as_it_is(item: dict[str, Any]) -> None:
    assert taken([item], []) == [item]


def test_an_id_of_another_conversation_is_left_out() -> None:
    assert taken([{**message("x"), "id": "msg-1", "status": "completed"}], []) == [message("x")]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("x", "expected an object"),
        (None, "expected an object"),
        ({}, "missing field `type`"),
        ({"type": 5}, "missing field `type`"),
        ({"type": "message", "role": "user"}, "missing field `content`"),
        ({"type": "message", "content": []}, "missing field `role`"),
        ({"type": "message", "role": "user", "content": 5}, "field `content` has the wrong type"),
        ({**CALL, "arguments": {}}, "field `arguments` has the wrong type"),
    ],
)
def test_what_is_no_item_is_refused_by_its_place(item: object, problem: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        taken([message("x"), item], [])
    assert caught.value.message == f"items[1] is not a valid response item: {problem}"


def test_an_item_of_an_unknown_kind_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert taken([{"type": "telepathy"}, message("x")], []) == [message("x")]
    assert "'telepathy'" in caplog.text


def test_an_output_is_taken_with_its_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert taken([OUTPUT], []) == []
    assert "no call" in caplog.text
    assert taken([CALL, OUTPUT], []) == [CALL, OUTPUT]
    assert taken([OUTPUT], [CALL]) == [OUTPUT]
    assert taken([{**OUTPUT, "type": "custom_tool_call_output"}], [CALL]) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "call_id", "output"]), inner, max_size=4)
    ),
)


@given(st.lists(JSON, max_size=4))
def test_anything_is_taken_left_out_or_refused(items: list[Any]) -> None:
    try:
        found = taken(items, [])
    except InvalidParams:
        return
    assert len(found) <= len(items)
