"""What the fuzz sends: messages for every method of the protocol, whole ones and broken ones, and what must come back.

What must come back is worked out here from JSON-RPC 2.0, not by the code under test.
"""

from __future__ import annotations

import json
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.schema_export import schema
from tests.fuzz.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 128
"""What docs/protocol.md promises. A request that is nested deeper is refused, with its id if that comes first."""

BROKEN_LINES = (
    b"garbage", b"{", b"}", b'{"id":1', b"[1,", b"\xff\xfe", b'{"method":"\xff"}', b"NaN", b"[NaN]", b'"\\ud8"',
    b'{"id":1,"method":"account/read","params":{"x":1e999}}', b"5", b'""', b"null", b"true", b"[]", b"\x00",
)  # fmt: skip

NO_METHODS = ("", "no/such", "account/read ", "\ud800", "__init__", "x" * 999)

ENDS_IT = ("thread/archive", "thread/delete", "thread/unsubscribe", "turn/interrupt")
"""Seldom sent to the turn that runs, or no other message would find one."""

OFTEN = ("turn/start", "turn/start", "turn/steer", "turn/interrupt", "thread/start", "thread/resume", "thread/read")


class Line(NamedTuple):
    """A line to send, and the ids of the answers to it: None is an answer's null."""

    data: bytes
    answers: list[str | int | None]


class Messages:
    """Makes lines without end. What is random in each depends on the seed and its number, and on nothing else."""

    def __init__(self, seed: int) -> None:
        document = schema()
        self._seed = seed
        self._random = Random()
        self._requests: dict[str, Any] = document["methods"]["clientRequests"]
        self._methods = [*self._requests, *OFTEN]
        self._last_id = 0
        self.values = Values(self._random, document["$defs"])

    def __iter__(self) -> Iterator[Line]:
        """Generate lines."""
        for number in count():
            self._random.seed(f"{self._seed}/{number}")
            yield self._line()

    def _line(self) -> Line:
        match self._random.randrange(40):
            case 0:
                data = self._random.choice(BROKEN_LINES)
                return Line(data, [None])
            case 1:
                return Line(self._random.choice((b"", b"  ", b"\t")), [])
            case 2:
                return self._too_deep()
            case 3 | 4 | 5:
                batch = [self._message() for _ in range(self._random.randrange(1, 12))]
                return self._encoded(batch if self._random.random() < 0.9 else self.values.mutated(batch))
            case _:
                return self._encoded(self._message())

    def _message(self) -> Any:  # noqa: ANN401 - JSON
        message = self._request()
        match self._random.randrange(20):
            case 0:
                del message["id"]
            case 1:
                return {"id": self._new_id(), self._random.choice(("result", "error")): self.values.odd()}
            case 2:
                message["method"] = self._random.choice(
                    ("", "no/such", "account/read ", "\ud800", "__init__", "x" * 999)
                )
            case 3:
                message[self._random.choice(("jsonrpc", "extra", ""))] = self.values.odd()
            case 4:
                message["params"] = self.values.odd()
            case 5 | 6 | 7:
                message["params"] = self.values.mutated(message.get("params"))
            case 8:
                return self.values.mutated(message)
        return message

    def _request(self) -> dict[str, Any]:
        method = self._random.choice(self._methods)
        message: dict[str, Any] = {"id": self._new_id(), "method": method}
        self.values.use_live = self._random.random() < (0.2 if method in ENDS_IT else 0.6)
        wanted = self._requests[method]["params"]
        if wanted is not None:
            message["params"] = self.values.fitting(wanted)
        return message

    def _too_deep(self) -> Line:
        request_id = self._new_id()
        levels = self._random.choice((MAX_DEPTH, 300, 5000))
        head = json.dumps({"id": request_id, "method": self._random.choice(self._methods)})[:-1]
        return Line(f'{head}, "params": {"[" * levels}{"]" * levels}}}'.encode(), [request_id])

    def _encoded(self, message: object) -> Line:
        try:
            data = json.dumps(message, ensure_ascii=self._random.random() < 0.5).encode()
        except UnicodeEncodeError:  # half a surrogate pair has no other form
            data = json.dumps(message).encode()
        return Line(data, answers_to(message))

    def _new_id(self) -> str | int:
        self._last_id += 1
        return self._last_id if self._random.random() < 0.5 else f"id-{self._last_id}"


def answers_to(message: object) -> list[str | int | None]:
    """Return the ids of the answers to a message that is nested as deeply as may be."""
    if isinstance(message, list) and message:
        return [answer for entry in message for answer in _answers_to_one(entry)]
    return _answers_to_one(message)


def _answers_to_one(message: object) -> list[str | int | None]:
    if not isinstance(message, dict):
        return [None]
    given = message.get("id")
    request_id = given if isinstance(given, str | int) and not isinstance(given, bool) else None
    if "method" not in message:
        is_reply = request_id is not None and ("result" in message or "error" in message)
        return [] if is_reply else [request_id]
    fits = isinstance(message["method"], str) and isinstance(message.get("params"), dict | list | None)
    return [] if fits and "id" not in message else [request_id]
