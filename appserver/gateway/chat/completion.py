"""Deltas of a message -> the chunks of a stream, or one completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from appserver import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.gateway.chat.answer import Answer, Delta

DONE = b"data: [DONE]\n\n"


class Head(NamedTuple):
    """What all chunks of a completion have in common."""

    id: str
    created: int
    """In Unix seconds."""
    model: str
    """The model that was asked for: where the response does not name one."""


class Chunks:
    """Writes a completion as server-sent events."""

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head
        self._include_usage = include_usage
        self._begun = False
        self._before = self._after = b""

    def begin(self, answer: Answer) -> bytes:
        """Return the first chunk: it says who speaks, and no text yet."""
        members = _head(self._head, answer, "chat.completion.chunk")
        self._before = b"data: " + json_text.encode(members).encode()[:-1] + b',"choices":[{"index":0,"delta":'
        self._after = b',"finish_reason":null}]' + (b',"usage":null' if self._include_usage else b"") + b"}\n\n"
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}', None)

    def write(self, delta: Delta) -> bytes:
        """Return the chunk of one delta."""
        return self._chunk(json_text.encode(delta.members).encode(), delta.logprobs)

    def end(self, answer: Answer) -> Iterator[bytes]:
        """Return the last chunks: why it has finished, what was used if that was asked for, and the end of the stream.

        Usage that is not known is null: an answer that was cut at a stop sequence may not have told it.
        """
        finish = json_text.encode(answer.finish).encode()
        yield self._chunk(b"{}", None).replace(b'"finish_reason":null', b'"finish_reason":' + finish, 1)
        if self._include_usage:
            members = _head(self._head, answer, "chat.completion.chunk")
            yield _event({**members, "choices": [], "usage": answer.usage})
        yield DONE

    def _chunk(self, delta: bytes, logprobs: list[dict[str, Any]] | None) -> bytes:
        told = b"null" if logprobs is None else json_text.encode({"content": logprobs, "refusal": None}).encode()
        return b"".join((self._before, delta, b',"logprobs":', told, self._after))


class Completion:
    """Folds deltas into one completion."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._annotations: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []
        self._pieces: list[list[str]] = []
        self._logprobs: list[dict[str, Any]] | None = None

    def add(self, delta: Delta) -> None:
        """Add what a chunk of this delta would."""
        members = delta.members
        if "content" in members:
            self._texts.append(members["content"])
        if "refusal" in members:
            self._refusals.append(members["refusal"])
        self._annotations.extend(members.get("annotations", ()))
        for call in members.get("tool_calls", ()):
            self._add_call(call)
        if delta.logprobs is not None:
            self._logprobs = [*(self._logprobs or ()), *delta.logprobs]

    def result(self, head: Head, answer: Answer) -> dict[str, Any]:
        """Return the completion."""
        choice = {
            "index": 0,
            "message": self._message(),
            "logprobs": None if self._logprobs is None else {"content": self._logprobs, "refusal": None},
            "finish_reason": answer.finish,
        }
        return {**_head(head, answer, "chat.completion"), "choices": [choice], "usage": answer.usage}

    def _add_call(self, call: dict[str, Any]) -> None:
        member, pieces = ("custom", "input") if "custom" in call else ("function", "arguments")
        if call["index"] == len(self._calls):
            self._calls.append({"id": call["id"], "type": member, member: {"name": call[member]["name"]}})
            self._pieces.append([])
        self._pieces[call["index"]].append(call[member][pieces])

    def _message(self) -> dict[str, Any]:
        text, refusal = "".join(self._texts), "".join(self._refusals)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not (refusal or self._calls) else None,
            "refusal": refusal or None,
            "annotations": self._annotations,
        }
        if self._calls:
            message["tool_calls"] = [self._call(index) for index in range(len(self._calls))]
        return message

    def _call(self, index: int) -> dict[str, Any]:
        call, written = self._calls[index], "".join(self._pieces[index])
        member, pieces = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
        return {**call, member: {**call[member], pieces: written}}


def _head(head: Head, answer: Answer, kind: str) -> dict[str, Any]:
    model, tier = answer.response.get("model"), answer.response.get("service_tier")
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": model if isinstance(model, str) and model else head.model,
        **({"service_tier": tier} if isinstance(tier, str) else {}),
        "system_fingerprint": None,
    }


def _event(members: dict[str, Any]) -> bytes:
    return b"data: " + json_text.encode(members).encode() + b"\n\n"
