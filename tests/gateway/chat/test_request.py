"""Requests of Chat Completions, translated: nothing that a message says is lost, and nothing malformed gets through."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.gateway.chat.request import translate
from appserver.gateway.invalid import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

WORDS = st.text(max_size=8)
IDS = st.text(alphabet="abc123", min_size=1, max_size=6)

TEXT = st.fixed_dictionaries({"type": st.just("text"), "text": WORDS})
IMAGE = st.fixed_dictionaries(
    {"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": WORDS, "detail": st.just("high")})}
)
FILE = st.fixed_dictionaries(
    {"type": st.just("file"), "file": st.fixed_dictionaries({"filename": WORDS, "file_data": WORDS})}
)
REFUSAL = st.fixed_dictionaries({"type": st.just("refusal"), "refusal": WORDS})
INPUT = WORDS | st.lists(TEXT | IMAGE | FILE, min_size=1, max_size=3)

USER = st.fixed_dictionaries({"role": st.just("user"), "content": INPUT})
INSTRUCTION = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer"]), "content": WORDS | st.lists(TEXT, min_size=1, max_size=2)}
)
FUNCTION_CALL = st.fixed_dictionaries(
    {
        "id": IDS.map("f-{}".format),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": IDS, "arguments": WORDS}),
    }
)
CUSTOM_CALL = st.fixed_dictionaries(
    {
        "id": IDS.map("c-{}".format),
        "type": st.just("custom"),
        "custom": st.fixed_dictionaries({"name": IDS, "input": WORDS}),
    }
)
ASSISTANT = st.fixed_dictionaries(
    {
        "role": st.just("assistant"),
        "content": st.none() | WORDS | st.lists(TEXT | REFUSAL, min_size=1, max_size=3),
        "tool_calls": st.lists(FUNCTION_CALL | CUSTOM_CALL, max_size=3),
    }
)
TOOL = st.fixed_dictionaries(
    {"role": st.just("tool"), "tool_call_id": IDS.map("f-{}".format), "content": WORDS | st.lists(TEXT, min_size=1)}
)
MESSAGES = st.lists(INSTRUCTION | USER | ASSISTANT | TOOL, min_size=1, max_size=6)


def body_of(messages: list[Json], **params: Any) -> Json:  # noqa: ANN401 - JSON
    return translate({"model": "m", "messages": messages, **params}).body


def parts(content: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """What content says, whichever of the two shapes it has."""
    if content is None:
        return []
    if isinstance(content, str):
        return [("text", content)]
    return [(part["type"], part[part["type"]]) for part in content]


def said_by_messages(messages: list[Json]) -> list[tuple[Any, ...]]:
    """What messages say, one by one, in terms of neither API."""
    said: list[tuple[Any, ...]] = []
    for one in messages:
        if one["role"] == "tool":
            said.append(("result", one["tool_call_id"], parts(one["content"])))
            continue
        role = "developer" if one["role"] == "system" else one["role"]
        if (content := parts(one["content"])) or role != "assistant":
            said.append((role, content))
        for call in one.get("tool_calls", ()):
            member = call[call["type"]]
            said.append(
                ("call", call["id"], call["type"], member["name"], member.get("arguments", member.get("input")))
            )
    return said


BACK: dict[str, Callable[[Json], tuple[str, Any]]] = {
    "input_text": lambda part: ("text", part["text"]),
    "output_text": lambda part: ("text", part["text"]),
    "refusal": lambda part: ("refusal", part["refusal"]),
    "input_image": lambda part: ("image_url", {"url": part["image_url"], "detail": part["detail"]}),
    "input_file": lambda part: ("file", {"filename": part["filename"], "file_data": part["file_data"]}),
}


def said_by_items(items: list[Json]) -> list[tuple[Any, ...]]:
    """What input items say, in the same terms."""
    said: list[tuple[Any, ...]] = []
    for one in items:
        match one["type"]:
            case "message":
                said.append((one["role"], [BACK[part["type"]](part) for part in one["content"]]))
            case "function_call":
                said.append(("call", one["call_id"], "function", one["name"], one["arguments"]))
            case "custom_tool_call":
                said.append(("call", one["call_id"], "custom", one["name"], one["input"]))
            case "function_call_output":
                output = one["output"]
                back = parts(output) if isinstance(output, str) else [BACK[part["type"]](part) for part in output]
                said.append(("result", one["call_id"], back))
    return said


@given(MESSAGES)
def test_the_input_says_what_the_messages_say(messages: list[Json]) -> None:
    body = body_of(messages)
    leading = 0
    while leading < len(messages) - 1 and messages[leading]["role"] in ("system", "developer"):
        leading += 1
    texts = ["".join(text for _, text in parts(one["content"])) for one in messages[:leading]]
    assert body.get("instructions", "") == "\n\n".join(texts)
    assert said_by_items(body["input"]) == said_by_messages(messages[leading:])
    assert body["input"] or not said_by_messages(messages[leading:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "response_format",
        "stream_options",
        "max_tokens",
        "role",
    ]
)


@given(JSON | st.dictionaries(NAMES | WORDS, JSON | MESSAGES))
def test_any_json_is_translated_or_refused(request: object) -> None:
    with suppress(InvalidRequest):
        assert isinstance(translate(request).body["model"], str)


@pytest.mark.parametrize(
    ("broken", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "bard", "content": "x"}]}, "messages[0]"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"temperature": "warm"}, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"functions": [{"name": "f"}]}, "functions"),
    ],
)
def test_an_error_names_the_member_that_is_wrong(broken: Json, param: str) -> None:
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = broken if not broken else {**whole, **broken}
    if not broken:
        request = {"model": "m"}
    with pytest.raises(InvalidRequest) as caught:
        translate(request)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("input[2].content", "messages[2].content"),
        ("max_output_tokens", "max_tokens"),
        ("text.format.schema", "response_format.schema"),
        ("reasoning.effort", "reasoning_effort"),
        ("temperature", "temperature"),
        (None, None),
    ],
)
def test_a_parameter_has_the_callers_name(theirs: str | None, ours: str | None) -> None:
    request = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}
    assert translate(request).name(theirs) == ours


def test_few_tokens_are_as_many_as_the_other_api_takes() -> None:
    assert body_of([{"role": "user", "content": "Hi"}], max_tokens=1)["max_output_tokens"] == 16
