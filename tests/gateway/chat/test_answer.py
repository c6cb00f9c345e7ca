"""Answers of the Responses API, translated: however the events are cut and mixed, the same message comes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appserver.errors import BackendError
from appserver.gateway.chat.answer import Answer
from appserver.gateway.chat.completion import DONE, Chunks, Completion, Head
from appserver.testing.model_api import events_of
from appserver.testing.replies import CustomToolCall, FunctionCall, Message, RawItem, Reasoning, Refusal, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = Head("chatcmpl-1", 1, "asked")
CHUNKS = st.lists(st.text(max_size=5), max_size=5).map(tuple)
PIECES = st.integers(0, 4)

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may have other things to do: how long an example takes is no property."""


@st.composite
def items(draw: st.DrawFn) -> list[Any]:
    """Draw items of an output, each call with an id of its own."""
    kinds = draw(
        st.lists(st.sampled_from(["message", "refusal", "reasoning", "function", "custom", "raw"]), max_size=6)
    )
    return [draw(one_item(kind, f"call-{index}")) for index, kind in enumerate(kinds)]


def one_item(kind: str, call_id: str) -> st.SearchStrategy[Any]:
    text = st.text(max_size=10)
    match kind:
        case "message":
            return CHUNKS.map(Message)
        case "refusal":
            return CHUNKS.map(Refusal)
        case "reasoning":
            return CHUNKS.map(Reasoning)
        case "function":
            return st.builds(FunctionCall, st.just("f"), text, st.just(call_id), PIECES)
        case "custom":
            return st.builds(CustomToolCall, st.just("c"), text, st.just(call_id), PIECES)
        case _:
            return text.map(
                lambda said: RawItem({"type": "message", "content": [{"type": "output_text", "text": said}]})
            )


def expected(output: Iterable[Any]) -> tuple[str, str, dict[str, tuple[str, str]]]:
    """What the items say: text, refusal, and the calls by their ids."""
    text = refusal = ""
    calls = {}
    for one in output:
        match one:
            case Message():
                text += "".join(one.chunks)
            case Refusal():
                refusal += "".join(one.chunks)
            case FunctionCall():
                calls[one.call_id] = ("function", one.arguments)
            case CustomToolCall():
                calls[one.call_id] = ("custom", one.input)
            case RawItem():
                text += one.item["content"][0]["text"]
    return text, refusal, calls


def folded(stream: Stream) -> dict[str, Any]:
    answer, completion = Answer(), Completion()
    for event in events_of(stream, "resp-1"):
        for delta in answer.take(event):
            completion.add(delta)
    assert answer.complete
    return completion.result(HEAD, answer)


def streamed(stream: Stream) -> list[dict[str, Any]]:
    """The chunks of a stream, as a client reads them."""
    answer, chunks = Answer(), Chunks(HEAD, include_usage=True)
    written = [chunks.begin(answer)]
    for event in events_of(stream, "resp-1"):
        written.extend(map(chunks.write, answer.take(event)))
    *read, done = [*written, *chunks.end(answer)]
    assert done == DONE
    assert all(one.startswith(b"data: ") and one.endswith(b"\n\n") and one.count(b"\n") == 2 for one in read)
    return [json.loads(one.removeprefix(b"data: ")) for one in read]


def message_in(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Put chunks together as a client does that knows nothing of how they were made."""
    text, refusal = "", ""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            refusal += delta.get("refusal") or ""
            for call in delta.get("tool_calls", ()):
                found = calls.setdefault(call["index"], {"id": call.get("id"), "type": call.get("type"), "written": ""})
                found["written"] += (call.get("function") or {}).get("arguments") or ""
                found["written"] += (call.get("custom") or {}).get("input") or ""
    return {"text": text, "refusal": refusal, "calls": [calls[index] for index in sorted(calls)]}


@patient
@given(items(), st.booleans())
def test_a_completion_says_what_the_output_says(output: list[Any], interleaved: bool) -> None:
    completion = folded(Stream(tuple(output), interleaved=interleaved))
    [choice] = completion["choices"]
    text, refusal, calls = expected(output)
    message = choice["message"]
    if not interleaved:
        assert (message["content"] or "", message["refusal"] or "") == (text, refusal)
    assert sorted(message["content"] or "") == sorted(text)
    found = {
        call["id"]: (call["type"], call[call["type"]]["input" if call["type"] == "custom" else "arguments"])
        for call in message.get("tool_calls", ())
    }
    assert found == calls
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")


@patient
@given(items(), st.booleans())
def test_chunks_add_up_to_the_completion(output: list[Any], interleaved: bool) -> None:
    stream = Stream(tuple(output), interleaved=interleaved)
    chunks, completion = streamed(stream), folded(stream)
    message = completion["choices"][0]["message"]
    together = message_in(chunks)
    assert together["text"] == (message["content"] or "")
    assert together["refusal"] == (message["refusal"] or "")
    assert [(call["id"], call["type"]) for call in together["calls"]] == [
        (call["id"], call["type"]) for call in message.get("tool_calls", ())
    ]
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert finishes == [None] * (len(finishes) - 1) + [completion["choices"][0]["finish_reason"]]
    assert chunks[-1] == {**chunks[-1], "choices": [], "usage": completion["usage"]}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["type", "item", "delta", "item_id", "output_index", "response", "error", "logprobs"]),
            st.none()
            | st.integers()
            | st.sampled_from(["message", "function_call", "custom_tool_call"])
            | st.dictionaries(
                st.sampled_from(["type", "id", "content", "output", "usage", "arguments", "call_id", "status"]),
                st.none()
                | st.integers()
                | st.text(max_size=3)
                | st.lists(st.none() | st.dictionaries(st.text(max_size=4), st.none())),
            ),
        ),
        max_size=6,
    ),
    st.lists(
        st.sampled_from(
            [
                "response.created",
                "response.output_item.added",
                "response.output_item.done",
                "response.output_text.delta",
                "response.function_call_arguments.delta",
                "response.custom_tool_call_input.delta",
                "response.refusal.delta",
                "response.completed",
                "response.incomplete",
                "response.failed",
            ]
        ),
        min_size=6,
        max_size=6,
    ),
)
@settings(max_examples=500)
def test_no_event_breaks_the_translation(events: list[dict[str, Any]], kinds: list[str]) -> None:
    answer = Answer(["x"])
    for event, kind in zip(events, kinds, strict=False):
        try:
            answer.take({**event, "type": kind})
        except BackendError:
            return


def test_the_model_that_has_answered_is_named() -> None:
    answer = Answer()
    answer.take(
        {"type": "response.created", "response": {"id": "r", "model": "gpt-6-sol-2026", "service_tier": "flex"}}
    )
    first = json.loads(Chunks(HEAD, include_usage=False).begin(answer).removeprefix(b"data: "))
    assert (first["model"], first["service_tier"]) == ("gpt-6-sol-2026", "flex")


def test_logprobs_come_with_their_text() -> None:
    answer = Answer()
    one = {"token": "Hé", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1.0}]}
    [delta] = answer.take({"type": "response.output_text.delta", "output_index": 0, "delta": "Hé", "logprobs": [one]})
    top = {"token": "Ho", "logprob": -1.0, "bytes": [72, 111]}
    assert delta.logprobs == [{"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169], "top_logprobs": [top]}]


def test_an_answer_that_stands_only_in_the_final_event_is_told() -> None:
    answer = Answer()
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    [delta] = answer.take({"type": "response.completed", "response": {"output": [item]}})
    assert delta.members == {"content": "Hello"}


def test_a_failure_is_raised() -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    with pytest.raises(BackendError) as caught:
        Answer().take({"type": "response.failed", "response": {"error": error}})
    assert caught.value.code == "rate_limit_exceeded"
