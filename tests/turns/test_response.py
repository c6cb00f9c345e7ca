"""Events of the model to items: what clients are told of, and what the next request remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.errors import BackendError
from appserver.threads.turn_record import TurnRecord
from appserver.turns.response import ModelResponse
from tests.turns.fakes import Told, call, completed, delta, message, opened, thread

if TYPE_CHECKING:
    from collections.abc import Awaitable

Event = dict[str, Any]


class Taken:
    """An answer, and what has come of it."""

    def __init__(self, *events: Event) -> None:
        self.told, self.thread, self.turn = Told(), thread(), TurnRecord([])
        self.calls: list[Any] = []
        self.answer = ModelResponse(self.thread, self.turn, self.told, self.call)
        for event in events:
            at_once(self.answer.take(event) or nothing())

    async def call(self, upstream: Event) -> None:
        self.calls.append(upstream)


async def nothing() -> None:
    """Most events end no item."""


def at_once(writing: Awaitable[None]) -> None:
    """Let something be written, without an event loop: a thread in memory waits for nothing."""
    for _ in writing.__await__():
        raise AssertionError("it waits")


def reasoning(**members: object) -> Event:
    item = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "why"}], **members}
    return {"type": "response.output_item.done", "item": item}


def test_a_message_is_started_grows_by_deltas_and_is_completed() -> None:
    taken = Taken(opened("m"), delta("m", "Hel"), delta("m", "lo"), message("m", "Hello"))
    assert taken.told.methods == ["item/started", *["item/agentMessage/delta"] * 2, "item/completed"]
    assert [params["delta"] for params in taken.told.of("item/agentMessage/delta")] == ["Hel", "lo"]
    assert taken.told.items() == [{"type": "agentMessage", "id": "m", "text": "Hello", "phase": None}]


def test_every_notification_says_where_it_belongs() -> None:
    taken = Taken(delta("m", "x"), message("m", "x"))
    for _, params in taken.told:
        assert (params["threadId"], params["turnId"]) == (taken.thread.id, taken.turn.id)


def test_a_delta_of_an_unannounced_message_starts_it() -> None:
    assert Taken(delta("m", "x")).told.methods == ["item/started", "item/agentMessage/delta"]


def test_a_message_without_deltas_is_started_and_completed() -> None:
    assert Taken(message("m", "all")).told.methods == ["item/started", "item/completed"]


def test_a_message_is_remembered_without_the_backends_id() -> None:
    content = [{"type": "output_text", "text": "Hello"}]
    assert Taken(message("m", "Hello")).thread.history == [{"type": "message", "role": "assistant", "content": content}]


def test_the_text_of_an_empty_final_item_comes_from_the_deltas() -> None:
    taken = Taken(delta("m", "Hel"), delta("m", "lo"), message("m", ""))
    assert taken.told.items()[0]["text"] == "Hello"


def test_a_message_that_is_never_done_is_completed_with_the_answer() -> None:
    taken = Taken(delta("m", "Hello"), completed())
    assert taken.told.items()[0]["text"] == "Hello"
    assert taken.answer.complete


def test_an_answer_that_is_cut_short_keeps_what_was_seen() -> None:
    taken = Taken(opened("empty"), delta("m", "Hel"))
    at_once(taken.answer.cut_short())
    assert [(item["id"], item["text"]) for item in taken.told.items()] == [("m", "Hel")]
    assert not taken.answer.complete


def test_reasoning_is_told_by_parts_and_remembered_encrypted() -> None:
    taken = Taken(
        {"type": "response.output_item.added", "item": {"type": "reasoning", "id": "r"}},
        {"type": "response.reasoning_summary_part.added", "item_id": "r", "summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "summary_index": 0, "delta": "w"},
        {"type": "response.reasoning_text.delta", "item_id": "r", "content_index": 0, "delta": "raw"},
        reasoning(encrypted_content="secret"),
    )
    assert taken.told.methods == [
        "item/started",
        "item/reasoning/summaryPartAdded",
        "item/reasoning/summaryTextDelta",
        "item/reasoning/textDelta",
        "item/completed",
    ]
    assert taken.told.items()[0]["summary"] == ["why"]
    assert taken.thread.history[0]["encrypted_content"] == "secret"


def test_reasoning_that_comes_whole_is_started_with_its_text() -> None:
    assert Taken(reasoning()).told.items("item/started")[0]["summary"] == ["why"]


def test_a_function_call_is_handed_on() -> None:
    taken = Taken(call("c1"))
    assert taken.calls[0]["call_id"] == "c1"
    assert not taken.told


def test_usage_is_read_from_the_final_event() -> None:
    usage = Taken(completed(tokens=42)).answer.usage
    assert usage is not None
    assert usage["totalTokens"] == 42


@pytest.mark.parametrize("kind", ["response.failed", "response.incomplete", "error"])
def test_failures_are_raised(kind: str) -> None:
    with pytest.raises(BackendError):
        Taken({"type": kind})


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.unheard_of", "item_id": "m"},
        {"type": "response.output_text.delta"},
        {"type": "response.output_text.delta", "item_id": 1, "delta": "x"},
        {"type": "response.output_text.delta", "item_id": "m", "delta": None},
        {"type": "response.output_item.added"},
        {"type": "response.output_item.added", "item": {"type": "message"}},
        {"type": "response.output_item.added", "item": "message"},
        {"type": "response.output_item.done", "item": {"type": "web_search_call", "id": "w"}},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "delta": "w"},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "delta": "w", "summary_index": [0]},
        {"type": "response.reasoning_text.delta", "delta": "w", "content_index": 0},
    ],
)
def test_what_is_unknown_or_malformed_is_passed_over(event: Event) -> None:
    assert not Taken(event).told
