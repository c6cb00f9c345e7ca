"""What the fake model can be scripted to say: immutable descriptions of one reply of the Responses API. Pure.

Small functions build the usual ones; `Stream` says everything that they can. Playing them is model_api.py's
part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from appserver.testing.service import Body, error_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from appserver.testing.signals import Gate

Event = dict[str, Any]

DEFAULT_USAGE: Final[Mapping[str, Any]] = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 15,
}


@dataclass(frozen=True)
class Message:
    """An assistant's message, one delta for each chunk."""

    chunks: tuple[str, ...]

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        shape = {"type": "message", "id": item_id, "role": "assistant"}
        where = {"item_id": item_id, "output_index": index, "content_index": 0}
        yield _added(index, {**shape, "status": "in_progress", "content": []})
        for chunk in self.chunks:
            yield {"type": "response.output_text.delta", **where, "delta": chunk}
        text = {"type": "output_text", "text": "".join(self.chunks), "annotations": []}
        yield _done(index, {**shape, "status": "completed", "content": [text]})


@dataclass(frozen=True)
class Reasoning:
    """A summary of the model's reasoning, one delta for each chunk, and the raw text of it where there is any."""

    chunks: tuple[str, ...]
    raw: tuple[str, ...] = ()

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        shape = {"type": "reasoning", "id": item_id}
        where = {"item_id": item_id, "output_index": index, "summary_index": 0}
        summary = {"type": "summary_text", "text": "".join(self.chunks)}
        yield _added(index, {**shape, "summary": []})
        yield {"type": "response.reasoning_summary_part.added", **where, "part": {**summary, "text": ""}}
        for chunk in self.chunks:
            yield {"type": "response.reasoning_summary_text.delta", **where, "delta": chunk}
        yield {"type": "response.reasoning_summary_text.done", **where, "text": summary["text"]}
        for chunk in self.raw:
            place = {"item_id": item_id, "output_index": index, "content_index": 0}
            yield {"type": "response.reasoning_text.delta", **place, "delta": chunk}
        content = {"content": [{"type": "reasoning_text", "text": "".join(self.raw)}]} if self.raw else {}
        yield _done(index, {**shape, "summary": [summary], **content, "encrypted_content": "fake-reasoning"})


@dataclass(frozen=True)
class Refusal:
    """An assistant's message that says why it does not answer, one delta for each chunk."""

    chunks: tuple[str, ...]

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        shape = {"type": "message", "id": item_id, "role": "assistant"}
        where = {"item_id": item_id, "output_index": index, "content_index": 0}
        yield _added(index, {**shape, "status": "in_progress", "content": []})
        for chunk in self.chunks:
            yield {"type": "response.refusal.delta", **where, "delta": chunk}
        refusal = {"type": "refusal", "refusal": "".join(self.chunks)}
        yield _done(index, {**shape, "status": "completed", "content": [refusal]})


@dataclass(frozen=True)
class FunctionCall:
    """A call of a function tool; `arguments` is what the model wrote, which need not be valid JSON.

    `piece`: characters in each delta; 0: all of them in one.
    """

    name: str
    arguments: str
    call_id: str = "call-1"
    piece: int = 0

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        return _call("function_call", "arguments", self, self.arguments, item_id, index)


@dataclass(frozen=True)
class CustomToolCall:
    """A call of a custom tool, whose input is free text; `piece` as in FunctionCall."""

    name: str
    input: str
    call_id: str = "call-1"
    piece: int = 0

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        return _call("custom_tool_call", "input", self, self.input, item_id, index)


@dataclass(frozen=True)
class RawItem:
    """An output item sent as it is, for kinds that have no class here."""

    item: Mapping[str, Any]

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        """Generate the events of this item at its place in the output."""
        yield _done(index, {"id": item_id, **self.item})


Item = Message | Refusal | Reasoning | FunctionCall | CustomToolCall | RawItem


@dataclass(frozen=True)
class Stream:
    """HTTP 200 and an event stream: the items, then `ending` (None: response.completed).

    `delay` is in seconds, before each delta. `cut_after` and `hold_after` count deltas over all items: the
    connection breaks, or waits at `gate`, when so many have been sent. `headers` override the API's rate-
    limit headers.
    """

    items: tuple[Item, ...] = ()
    delay: float = 0.0
    ending: Event | None = None
    usage: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_USAGE)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hold_after: int | None = None
    gate: Gate | None = None
    keep_alive: bool = False  # an SSE comment ahead of every event
    interleaved: bool = False  # the items come side by side, an event of each in turn
    unfinished: bool = False  # end the stream properly, but without any last event


@dataclass(frozen=True)
class HttpError:
    """An HTTP failure in place of a stream."""

    status: int
    body: Body
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = Stream | HttpError


def text(*chunks: str, delay: float = 0.0) -> Stream:
    """Say this, one delta for each chunk, `delay` seconds before each."""
    return Stream((Message(chunks),), delay=delay)


def output(*items: Item, delay: float = 0.0) -> Stream:
    """Produce these items in one response."""
    return Stream(items, delay=delay)


def message(*chunks: str) -> Message:
    """Build a message item for `output`."""
    return Message(chunks)


def reasoning(*chunks: str, raw: tuple[str, ...] = ()) -> Reasoning:
    """Build a reasoning summary for `output`; `raw`: the chunks of the reasoning itself."""
    return Reasoning(chunks, raw)


def function_call(name: str, arguments: Mapping[str, Any] | str, call_id: str = "call-1") -> FunctionCall:
    """Build a tool call for `output`; a string as `arguments` is sent as it is."""
    return FunctionCall(name, arguments if isinstance(arguments, str) else json.dumps(arguments), call_id)


def cut(*chunks: str) -> Stream:
    """Say this, then break the connection in the middle of the stream."""
    return Stream((Message(chunks),), cut_after=len(chunks))


def stalled(gate: Gate, *chunks: str) -> Stream:
    """Say this, then send nothing until the gate is released, then complete."""
    return Stream((Message(chunks),), hold_after=len(chunks), gate=gate)


def failed(code: str, message: str = "The fake model failed as told.", *chunks: str) -> Stream:
    """Say the chunks, then fail inside HTTP 200 with `response.failed` and this error code."""
    error = {"code": code, "message": message}
    ending = {"type": "response.failed", "response": {"status": "failed", "error": error}}
    return Stream((Message(chunks),) if chunks else (), ending=ending)


def incomplete(reason: str, *chunks: str) -> Stream:
    """Say the chunks, then end with `response.incomplete`, as at `max_output_tokens` or a `content_filter`."""
    response = {"status": "incomplete", "incomplete_details": {"reason": reason}, "usage": dict(DEFAULT_USAGE)}
    return Stream((Message(chunks),), ending={"type": "response.incomplete", "response": response})


def error_event(code: str, message: str = "The fake model failed as told.") -> Stream:
    """Fail inside HTTP 200 with an `error` event."""
    return Stream(ending={"type": "error", "code": code, "message": message, "param": None})


def http_error(status: int, body: Body | None = None, headers: Mapping[str, str] | None = None) -> HttpError:
    """Fail with an HTTP status; without a body, with an error that names it."""
    fallback = error_body(f"http_{status}", "The fake model failed as told.")
    return HttpError(status, fallback if body is None else body, headers or {})


def usage_limit(plan: str = "pro", resets_at: int = 1_893_456_000) -> HttpError:
    """Fail with the 429 of a plan that is used up: no rate limit, so no retry. `resets_at`: Unix seconds."""
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached"}
    return HttpError(429, {"error": {**error, "plan_type": plan, "resets_at": resets_at}})


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)] if size else [text]


def _call(
    kind: str, member: str, call: FunctionCall | CustomToolCall, text: str, item_id: str, index: int
) -> Iterator[Event]:
    """Generate the events of a tool call, whose text is this member of its item."""
    shape = {"type": kind, "id": item_id, "call_id": call.call_id, "name": call.name}
    where = {"item_id": item_id, "output_index": index}
    yield _added(index, {**shape, "status": "in_progress", member: ""})
    for delta in _pieces(text, call.piece):
        yield {"type": f"response.{kind}_{member}.delta", **where, "delta": delta}
    yield {"type": f"response.{kind}_{member}.done", **where, member: text}
    yield _done(index, {**shape, "status": "completed", member: text})


def _added(index: int, item: Event) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def _done(index: int, item: Event) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}
