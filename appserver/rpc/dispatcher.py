"""The read side of a connection: lines to messages, each to who waits for it.

`receive` never waits, so one slow request delays nobody; a request that waits runs in a task of its own. Replies to
our requests are told apart before dispatch, and like routes that do not wait are never refused for load. Knows
nothing of transports: the porch feeds it before there is an event loop, `wiring.serve` afterwards.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from appserver.errors import Overloaded
from appserver.log import log_exception
from appserver.rpc.error_map import wire_error
from appserver.transport.framing import Oversized
from protocol import envelope, error_codes
from protocol.envelope import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from appserver.rpc.outbox import Outbox
    from appserver.rpc.parent import Parent
    from appserver.rpc.router import Answer, Router
    from appserver.tasks import Tasks
    from appserver.transport.framing import Line
    from protocol.envelope import Message, RequestId

MAX_IN_FLIGHT = 512
"""Requests that may wait at once; a further one is refused as overload."""

RETRY_AFTER_MS = 250
"""What a refused client is told to wait: about what a request that waits for a backend takes."""

# Only where nothing but simple members stands before it: an "id" inside the params may be the id of another request.
_ID_IN_HEAD = (
    rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*'
    rb'"id"\s*:\s*(-?\d{1,18}|"(?:[^"\\]|\\.){0,200}")\s*[,}]'
)


class Dispatcher:
    """Decodes, classifies and routes what the parent sends."""

    def __init__(
        self, router: Router, parent: Parent, outbox: Outbox, tasks: Tasks, warn: Callable[[str], None]
    ) -> None:
        self._router = router
        self._parent = parent
        self._outbox = outbox
        self._tasks = tasks
        self._warn = warn
        self._in_flight = 0
        self._first = True
        self._idle: Event | None = None

    def receive(self, line: Line) -> None:
        """Take a line. Answers what can be answered at once and starts what waits."""
        if isinstance(line, Oversized):
            self._refuse(_id_in(line.head), error_codes.INVALID_REQUEST, f"Message too large: {line.size} bytes")
        elif line.strip():
            try:
                message = decode(line)
            except ValueError as exc:
                self._refuse(None, error_codes.PARSE_ERROR, f"Parse error: {exc}")
            else:
                self._take(message)

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        from anyio import Event

        if self._in_flight:
            self._idle = Event()
            await self._idle.wait()

    def _take(self, message: object) -> None:
        if isinstance(message, list) and message:
            self._batch(message)
        elif isinstance(message, dict):
            self._settle_version(message)
            self._one(message)
        else:
            self._refuse(None, error_codes.INVALID_REQUEST, "Invalid request: neither an object nor a batch")

    def _settle_version(self, message: Message) -> None:
        """Answer in kind: with the `jsonrpc` member if the first message has it."""
        if self._first:
            self._first = False
            self._outbox.with_version = "jsonrpc" in message

    def _one(self, message: Message) -> None:
        match envelope.classify(message):
            case Kind.REQUEST:
                self._request(message)
            case Kind.RESPONSE:
                self._reply(message)
            case Kind.NOTIFICATION:
                pass  # `initialized` and what else a client announces: nothing waits for it
            case Kind.INVALID:
                self._refuse(envelope.readable_id(message), error_codes.INVALID_REQUEST, "Invalid request")

    def _request(self, message: Message) -> None:
        if not self._router.waits(message):
            self._send(self._router.answer_now(message))
        elif self._in_flight >= MAX_IN_FLIGHT:
            self._outbox.send(_overloaded(message))
        else:
            self._start(message, [], 1)

    def _batch(self, entries: list[object]) -> None:
        """Answer a batch (JSON-RPC 2.0, section 6): invalid entries get an error each, replies find their waiters."""
        calls: list[Message] = []
        refusals: list[Message] = []
        waiting = 0
        for entry in entries:
            kind = envelope.classify(entry) if isinstance(entry, dict) else Kind.INVALID
            if kind is Kind.INVALID:
                code = error_codes.INVALID_REQUEST
                refusals.append(envelope.error(envelope.readable_id(entry), code, "Invalid request"))
            elif kind is Kind.RESPONSE and isinstance(entry, dict):
                self._reply(entry)
            elif kind is Kind.REQUEST and isinstance(entry, dict):
                self._settle_version(entry)
                waits = self._router.waits(entry)
                if waits and self._in_flight + waiting >= MAX_IN_FLIGHT:
                    refusals.append(_overloaded(entry))
                else:
                    waiting += waits
                    calls.append(entry)
        if calls:
            self._start(calls, refusals, max(waiting, 1))
        elif refusals:
            self._outbox.send(refusals)

    def _start(self, message: Message | list[Message], refusals: list[Message], weight: int) -> None:
        self._in_flight += weight
        self._tasks.start(self._answer_waiting, message, refusals, weight)

    async def _answer_waiting(self, message: Message | list[Message], refusals: list[Message], weight: int) -> None:
        try:
            answer = await self._router.answer_waiting(message)
        finally:
            self._in_flight -= weight
            if not self._in_flight and self._idle is not None:
                self._idle.set()
        if isinstance(answer.response, list):
            answer.response.extend(refusals)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        if answer.response is not None:
            self._outbox.send(answer.response)
        for then in answer.then:
            try:
                then()
            except Exception as exc:  # noqa: BLE001 - a fault of ours behind one answer must not end the connection
                log_exception("what follows an answer failed", exc)

    def _reply(self, message: Message) -> None:
        try:
            known = self._parent.settle(message)
        except Exception as exc:  # noqa: BLE001 - a late reply that does not fit; wire_error() logs what it does not know
            self._warn(f"a late reply was not used: {wire_error(exc).message}")
        else:
            if not known:
                self._warn(f"ignored a reply that nobody waits for: id {message['id']!r:.80}")

    def _refuse(self, request_id: RequestId | None, code: int, text: str) -> None:
        self._outbox.send(envelope.error(request_id, code, text))


def decode(line: bytes) -> object:
    """Decode a line of JSON (RFC 8259). Raises ValueError with a text that does not repeat the input."""
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 at byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at character {exc.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _overloaded(request: Message) -> Message:
    return envelope.error(request["id"], *wire_error(Overloaded(RETRY_AFTER_MS)))


def _id_in(head: bytes) -> RequestId | None:
    """Read the id from the beginning of a line that was too long to keep; clients write it first."""
    found = re.match(_ID_IN_HEAD, head)
    if found is None:
        return None
    try:
        return envelope.readable_id({"id": decode(found[1])})
    except ValueError:
        return None
