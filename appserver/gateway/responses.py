"""The Responses API itself: what of a request is passed on, and one response assembled from its events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver import json_text
from appserver.gateway.invalid import InvalidRequest
from appserver.llm.events import failure_in_stream, object_in

if TYPE_CHECKING:
    from appserver.gateway.failures import Failure
    from appserver.llm.events import Event

HERE = ("stream", "stream_options", "background")
"""Parameters that are answered here: the backend is always asked for a stream, and nothing runs in the background."""

PRIVATE = "codex."
"""Begins the types of events that tell of the account's quota."""


def checked(request: object) -> tuple[dict[str, Any], bool, list[str]]:
    """Return the body to pass on, whether a stream is wanted, and what is dropped. Raises InvalidRequest."""
    if not isinstance(request, dict):
        raise InvalidRequest("The request must be a JSON object")
    if not isinstance(request.get("model"), str):
        raise InvalidRequest("model: expected a string", "model", "missing_required_parameter")
    stream = request.get("stream")
    if not isinstance(stream, bool | None):
        raise InvalidRequest("stream: expected a boolean", "stream", "invalid_type")
    if not isinstance(request.get("input"), str | list | None):
        raise InvalidRequest("input: expected a string or an array", "input", "invalid_type")
    body = {name: value for name, value in request.items() if name not in HERE}
    return body, bool(stream), ["background"] if request.get("background") else []


def written(event: Event) -> bytes | None:
    """Return an event as it is sent on, None for one that is not."""
    kind: str = event["type"]
    if kind.startswith(PRIVATE) or not kind.isprintable():
        return None
    return b"event: %b\ndata: %b\n\n" % (kind.encode("utf-8", "replace"), json_text.encode_utf8(event))


def error_event(failure: Failure, sequence_number: int) -> bytes:
    """Return the event that ends a stream which has failed. `error` is what OpenAI's clients raise it for."""
    told = failure.body["error"]
    event = {"type": "error", **told, "sequence_number": sequence_number, "error": told}
    return b"event: error\ndata: %b\n\n" % json_text.encode_utf8({**event, "type": "error"})


class Assembled:
    """One response, put together from its events: the final one may carry no output."""

    def __init__(self) -> None:
        self.complete = False
        """Whether the final event has come: without it, the stream was cut."""
        self.response: dict[str, Any] = {}
        self._output: dict[int, dict[str, Any]] = {}

    def take(self, event: Event) -> None:
        """Take one event. Raises BackendError if it tells of a failure."""
        match event["type"]:
            case "response.output_item.done":
                index = event.get("output_index")
                place = index if isinstance(index, int) else len(self._output)
                self._output[place] = object_in(event, "item")
            case "response.completed" | "response.incomplete":
                self.complete = True
                self.response = object_in(event, "response")
                if not self.response.get("output"):
                    self.response["output"] = [self._output[index] for index in sorted(self._output)]
            case "response.failed" | "error":
                raise failure_in_stream(event)
