"""The two ways in which an answer of the backend is told: as chunks or a chat completion, as events or a response.

Each takes the backend's events one by one and says what goes to the client of a stream. Without a stream that is
nothing, until `result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from appserver import json_text
from appserver.gateway.chat.answer import Answer
from appserver.gateway.chat.completion import Chunks, Completion
from appserver.gateway.responses import Assembled, error_event, written
from appserver.llm.events import object_in

if TYPE_CHECKING:
    from appserver.gateway.chat.completion import Head
    from appserver.gateway.chat.request import Translated
    from appserver.gateway.failures import Failure
    from appserver.llm.events import Event

EARLY = ("response.created", "response.in_progress", "response.queued")
"""Events that come before the model has said anything: an error after them can still be a status."""

FAILED = ("response.failed", "error")


class Dialect(Protocol):
    """How one answer is told."""

    stream: bool

    @property
    def complete(self) -> bool:
        """Whether all has come that the client is to be told."""

    @property
    def stopped(self) -> bool:
        """Whether the client is to be told no more, but what was used is not known yet."""

    @property
    def usage(self) -> dict[str, Any] | None:
        """What the backend told of the tokens used, as the Responses API has it."""

    def begin(self) -> bytes:
        """Return what was held back until now: the stream begins before the model has said anything."""

    def take(self, event: Event) -> bytes:
        """Take an event and return what the client of a stream is told of it. Raises BackendError."""

    def end(self) -> bytes:
        """Return the end of a stream."""

    def result(self) -> dict[str, Any]:
        """Return the whole answer."""

    def error(self, failure: Failure) -> bytes:
        """Return the end of a stream that has failed."""

    def name(self, param: str | None) -> str | None:
        """Return the client's name of a parameter."""


class Chat:
    """A chat completion."""

    def __init__(self, request: Translated, head: Head) -> None:
        self.stream = request.stream
        self._request = request
        self._head = head
        self._needs_usage = request.include_usage or not request.stream
        self._answer = Answer(request.stop)
        self._chunks = Chunks(head, include_usage=request.include_usage)
        self._completion = Completion()
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._answer.complete or (self._answer.finish is not None and not self._needs_usage)

    @property
    def stopped(self) -> bool:
        return self._answer.finish is not None and not self.complete

    @property
    def usage(self) -> dict[str, Any] | None:
        return object_in(self._answer.response, "usage") or None

    def begin(self) -> bytes:
        return b""

    def take(self, event: Event) -> bytes:
        deltas = self._answer.take(event)
        if not deltas:
            return b""
        if not self.stream:
            for delta in deltas:
                self._completion.add(delta)
            return b""
        return b"".join((self._first(), *map(self._chunks.write, deltas)))

    def end(self) -> bytes:
        return b"".join((self._first(), *self._chunks.end(self._answer)))

    def result(self) -> dict[str, Any]:
        return self._completion.result(self._head, self._answer)

    def error(self, failure: Failure) -> bytes:
        return b"data: " + json_text.encode_utf8(failure.body) + b"\n\n"

    def name(self, param: str | None) -> str | None:
        return self._request.name(param)

    def _first(self) -> bytes:
        """Return the first chunk, the first time."""
        if self._begun:
            return b""
        self._begun = True
        return self._chunks.begin(self._answer)


class Responses:
    """A response, told by the backend's own events."""

    stopped = False

    def __init__(self, *, stream: bool) -> None:
        self.stream = stream
        self._assembled = Assembled()
        self._held: list[bytes] | None = []
        """Events that came before the model has said anything."""
        self._failed = False
        self._sent = 0

    @property
    def complete(self) -> bool:
        return self._assembled.complete or self._failed

    @property
    def usage(self) -> dict[str, Any] | None:
        return object_in(self._assembled.response, "usage") or None

    def begin(self) -> bytes:
        held, self._held = self._held or [], None
        return b"".join(held)

    def take(self, event: Event) -> bytes:
        if event["type"] in FAILED and self._held is None and self.stream:
            self._failed = True  # told by the event itself
        else:
            self._assembled.take(event)
        if not self.stream or (line := written(event)) is None:
            return b""
        self._sent += 1
        if self._held is None:
            return line
        if event["type"] in EARLY:
            self._held.append(line)
            return b""
        return self.begin() + line

    def end(self) -> bytes:
        return b""

    def result(self) -> dict[str, Any]:
        return self._assembled.response

    def error(self, failure: Failure) -> bytes:
        return error_event(failure, self._sent)

    def name(self, param: str | None) -> str | None:
        return param
