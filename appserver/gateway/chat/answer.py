"""The events of one response -> the deltas of one chat message. Raises what the backend has failed with.

Keyed by the place of an item in the output, so that calls may come interleaved. What was streamed is not told again
when its item is done; what a backend did not stream is told then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.gateway.chat.stop import StopSequences
from appserver.llm.events import failure_in_stream, object_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appserver.llm.events import Event

FINISHES = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why a response is incomplete -> why a completion has finished."""

FINAL = ("response.completed", "response.incomplete")

CALLS = {
    # type of an output item -> member of a tool call, and the member of both that comes in pieces
    "function_call": ("function", "arguments"),
    "custom_tool_call": ("custom", "input"),
}


class Delta(NamedTuple):
    """A piece of the message, as a chunk has it."""

    members: dict[str, Any]
    logprobs: list[dict[str, Any]] | None = None


class _Item:
    """An output item, as far as it has come."""

    __slots__ = ("call", "done", "refused", "sent")

    def __init__(self, call: int | None = None) -> None:
        self.call = call
        """The index of a tool call."""
        self.sent = 0
        """Characters of its text, arguments or input that were told."""
        self.refused = 0
        """Characters of its refusal."""
        self.done = False


class Answer:
    """Takes the events of one response in order."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.finish: str | None = None
        """finish_reason, once it is known."""
        self.complete = False
        """Whether the final event has come: without it, the stream was cut."""
        self.usage: dict[str, Any] | None = None
        self.response: dict[str, Any] = {}
        """The response object of the latest event that has one."""
        self._items: dict[object, _Item] = {}
        self._stop = StopSequences(stop) if stop else None
        self._calls = 0
        self._length = 0
        """Characters of the message so far: citations count from its beginning."""
        self._take: dict[str, Callable[[Event], Iterator[Delta]]] = {
            "response.created": self._in_progress,
            "response.in_progress": self._in_progress,
            "response.output_item.added": self._added,
            "response.output_text.delta": self._text_delta,
            "response.refusal.delta": self._refusal_delta,
            "response.function_call_arguments.delta": self._call_delta,
            "response.custom_tool_call_input.delta": self._call_delta,
            "response.output_item.done": self._done,
            "response.completed": self._completed,
            "response.incomplete": self._incomplete,
            "response.failed": self._failed,
            "error": self._failed,
        }

    def take(self, event: Event) -> Sequence[Delta]:
        """Take one event and return what it adds to the message. Raises BackendError if it tells of a failure.

        After a stop sequence nothing is added any more; the events are still of use for the usage that the last tells.
        """
        handle = self._take.get(event["type"])
        if handle is None or (self.finish is not None and event["type"] not in FINAL):
            return ()
        return tuple(handle(event))

    def _in_progress(self, event: Event) -> Iterator[Delta]:
        self.response = object_in(event, "response")
        return iter(())

    def _added(self, event: Event) -> Iterator[Delta]:
        item = object_in(event, "item")
        if _string(item, "type") in CALLS:
            yield from self._begin_call(_place(event, item), item)

    def _text_delta(self, event: Event) -> Iterator[Delta]:
        delta = event.get("delta")
        if isinstance(delta, str):
            self._item(_place(event, {})).sent += len(delta)
            yield from self._text(delta, _logprobs(event.get("logprobs")))

    def _refusal_delta(self, event: Event) -> Iterator[Delta]:
        delta = event.get("delta")
        if isinstance(delta, str):
            self._item(_place(event, {})).refused += len(delta)
            yield Delta({"refusal": delta})

    def _call_delta(self, event: Event) -> Iterator[Delta]:
        delta, found = event.get("delta"), self._item(_place(event, {}))
        if isinstance(delta, str) and delta and found.call is not None:
            found.sent += len(delta)
            custom = event["type"] == "response.custom_tool_call_input.delta"
            yield _more_of_call(found.call, "custom_tool_call" if custom else "function_call", delta)

    def _done(self, event: Event) -> Iterator[Delta]:
        """Tell what of an item was not streamed."""
        item = object_in(event, "item")
        place, kind = _place(event, item), _string(item, "type")
        if kind == "message":
            found = self._item(place)
            if not found.done:
                found.done = True
                yield from self._rest_of_message(found, item)
        elif kind in CALLS:
            if place not in self._items:
                yield from self._begin_call(place, item)
            found, written = self._items[place], item.get(CALLS[kind][1])
            if isinstance(written, str) and found.call is not None and len(written) > found.sent:
                yield _more_of_call(found.call, kind, written[found.sent :])
                found.sent = len(written)

    def _rest_of_message(self, found: _Item, item: dict[str, Any]) -> Iterator[Delta]:
        parts = _objects(item, "content")
        text, refusal = _joined(parts, "output_text", "text"), _joined(parts, "refusal", "refusal")
        begin = self._length - found.sent
        if rest := text[found.sent :]:
            yield from self._text(rest, None)
        if rest := refusal[found.refused :]:
            yield Delta({"refusal": rest})
        if self.finish is None and (annotations := list(_citations(parts, begin))):
            yield Delta({"annotations": annotations})

    def _completed(self, event: Event) -> Iterator[Delta]:
        self.complete = True
        self.response = object_in(event, "response")
        self.usage = _usage(object_in(self.response, "usage"))
        if self.finish is not None:
            return  # at a stop sequence
        if not self._items:  # nothing was streamed: then the answer stands here, if anywhere
            for index, item in enumerate(_objects(self.response, "output")):
                yield from self._done({"type": "response.output_item.done", "output_index": index, "item": item})
        yield from self._end("tool_calls" if self._calls else "stop")

    def _incomplete(self, event: Event) -> Iterator[Delta]:
        response = object_in(event, "response")
        finish = FINISHES.get(str(object_in(response, "incomplete_details").get("reason")))
        if finish is None:
            raise failure_in_stream(event)
        self.complete = True
        self.response, self.usage = response, _usage(object_in(response, "usage"))
        yield from self._end(finish)

    def _failed(self, event: Event) -> Iterator[Delta]:
        raise failure_in_stream(event)

    def _end(self, finish: str) -> Iterator[Delta]:
        if self._stop is not None and (held := self._stop.flush()):
            yield Delta({"content": held})
        if self.finish is None:
            self.finish = finish

    def _text(self, text: str, logprobs: list[dict[str, Any]] | None) -> Iterator[Delta]:
        self._length += len(text)
        if self._stop is not None:
            text = self._stop.feed(text)
            if self._stop.found:
                self.finish = "stop"
        if text:
            yield Delta({"content": text}, logprobs)

    def _begin_call(self, place: object, item: dict[str, Any]) -> Iterator[Delta]:
        self._items[place] = _Item(self._calls)
        member, pieces = CALLS[item["type"]]
        call = {"index": self._calls, "id": _string(item, "call_id"), "type": member}
        self._calls += 1
        yield Delta({"tool_calls": [{**call, member: {"name": _string(item, "name"), pieces: ""}}]})

    def _item(self, place: object) -> _Item:
        found = self._items.get(place)
        if found is None:
            found = self._items[place] = _Item()
        return found


def _more_of_call(index: int, kind: str, text: str) -> Delta:
    member, pieces = CALLS[kind]
    return Delta({"tool_calls": [{"index": index, member: {pieces: text}}]})


def _place(event: Event, item: dict[str, Any]) -> object:
    """Return what tells an item from others: its index, which some backends keep while its id changes."""
    index = event.get("output_index")
    if isinstance(index, int):
        return index
    found = event.get("item_id", item.get("id"))
    return found if isinstance(found, str) else None


def _joined(parts: list[dict[str, Any]], kind: str, member: str) -> str:
    return "".join(_string(part, member) for part in parts if part.get("type") == kind)


def _citations(parts: list[dict[str, Any]], begin: int) -> Iterator[dict[str, Any]]:
    for part in parts:
        for one in _objects(part, "annotations"):
            if one.get("type") == "url_citation":
                places = {name: _int(one, name) + begin for name in ("start_index", "end_index")}
                cited = {"url": _string(one, "url"), "title": _string(one, "title"), **places}
                yield {"type": "url_citation", "url_citation": cited}
        begin += len(_string(part, "text"))


def _logprobs(found: object) -> list[dict[str, Any]] | None:
    if not isinstance(found, list) or not found:
        return None
    return [
        {**_logprob(one), "top_logprobs": [_logprob(top) for top in _objects(one, "top_logprobs")]}
        for one in found
        if isinstance(one, dict)
    ]


def _logprob(one: dict[str, Any]) -> dict[str, Any]:
    token = _string(one, "token")
    return {"token": token, "logprob": one.get("logprob"), "bytes": list(token.encode("utf-8", "replace"))}


def _usage(usage: dict[str, Any]) -> dict[str, Any] | None:
    if not usage:
        return None
    cached = _int(object_in(usage, "input_tokens_details"), "cached_tokens")
    reasoning = _int(object_in(usage, "output_tokens_details"), "reasoning_tokens")
    return {
        "prompt_tokens": _int(usage, "input_tokens"),
        "completion_tokens": _int(usage, "output_tokens"),
        "total_tokens": _int(usage, "total_tokens"),
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _objects(members: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = members.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _int(members: dict[str, Any], name: str) -> int:
    value = members.get(name)
    return value if isinstance(value, int) else 0


def _string(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""
