"""The read side of a connection: decodes lines, calls handlers, and gives replies to the requests they answer.

`receive` never waits, so a slow request does not delay the next one. It calls the handler: a value is the result, sent
in the order of arrival; an awaitable is awaited in a task of its own. Replies to the server's own requests never reach
a handler; like requests that are answered at once, they are never refused for load. Knows nothing of transports:
`server/startup.py` calls it before there is an event loop, `server/connection.py` afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.json_text import TooDeep, decode
from appserver.request_context import RequestContext, current_context
from appserver.rpc.error_map import wire_error
from appserver.rpc.in_flight import MANY_IN_FLIGHT, InFlight
from appserver.rpc.line_head import id_in_head
from appserver.rpc.router import Reply, context_of, follow
from appserver.telemetry import NO_TELEMETRY, ended_with, enter, error_name
from appserver.transport.framing import Oversized
from protocol import envelope, error_codes
from protocol.envelope import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.rpc.batches import Batches
    from appserver.rpc.client_calls import ClientCalls
    from appserver.rpc.outbox import Outbox
    from appserver.rpc.router import Router
    from appserver.tasks import Tasks
    from appserver.telemetry import Span, Telemetry
    from appserver.transport.framing import Line
    from protocol.envelope import Message, RequestId


class Dispatcher:
    """Decodes, classifies and routes what the client sends."""

    def __init__(
        self,
        router: Router,
        client: ClientCalls,
        outbox: Outbox,
        tasks: Tasks,
        warn: Callable[[str], None],
        connection: int | None = None,
        telemetry: Telemetry = NO_TELEMETRY,
    ) -> None:
        """`connection`: its number, for the log."""
        self._telemetry = telemetry
        self._router = router
        self._client = client
        self._outbox = outbox
        self._tasks = tasks
        self._warn = warn
        self._context = RequestContext(connection)
        self._in_flight = InFlight()
        self._batches: Batches | None = None
        self._first = True

    def receive(self, line: Line) -> None:
        """Handle a line: answer its request at once, or start a task for it."""
        if isinstance(line, Oversized):
            self._refuse(id_in_head(line.head), error_codes.INVALID_REQUEST, f"Message too large: {line.size} bytes")
        elif line.strip():
            try:
                message = decode(line)
            except TooDeep as exc:  # perhaps a well-formed request, which has to be answered
                self._refuse(id_in_head(line), error_codes.PARSE_ERROR, f"Parse error: {exc}")
            except ValueError as exc:
                self._refuse(None, error_codes.PARSE_ERROR, f"Parse error: {exc}")
            else:
                self._take(message)

    async def drain(self) -> None:
        """Wait while the entries of batches that have not been started yet are more than one batch may have."""
        if self._batches is not None:
            await self._batches.drain()

    async def pause(self) -> None:
        """Let requests in flight end before more is read, if they are many and quick."""
        if len(self._in_flight.waiting) > MANY_IN_FLIGHT:
            await self._in_flight.pause()

    async def idle(self) -> None:
        await self._in_flight.idle()

    @property
    def requests_in_flight(self) -> int:
        """How many requests wait for something."""
        return self._in_flight.requests

    @property
    def requests_queued(self) -> int:
        """How many entries of batches have not been begun."""
        return 0 if self._batches is None else self._batches.not_begun

    def close(self) -> None:
        """Drop the requests whose task has not started: there is no event loop any more to run it."""
        self._in_flight.close()

    def _take(self, message: object) -> None:
        if self._first:
            self._adopt_version(message)
        if isinstance(message, list) and message:
            self._in_context(self._batch, message)
        elif isinstance(message, dict):
            self._one(message)
        else:
            self._refuse(None, error_codes.INVALID_REQUEST, "Invalid request: neither an object nor a batch")

    def _adopt_version(self, message: object) -> None:
        """Send the `jsonrpc` member if the first message, which may be inside a batch, has it."""
        entries = message if isinstance(message, list) else [message]
        first = next((entry for entry in entries if isinstance(entry, dict)), None)
        if first is not None:
            self._first = False
            self._outbox.with_version = "jsonrpc" in first

    def _one(self, message: Message) -> None:
        match envelope.classify(message):
            case Kind.REQUEST:
                self._request(message)
            case Kind.RESPONSE:
                self._in_context(self._reply, message)
            case Kind.NOTIFICATION:
                pass  # `initialized`, and any other: the server acts on none of them
            case Kind.INVALID:
                self._refuse(envelope.readable_id(message), error_codes.INVALID_REQUEST, "Invalid request")

    def _request(self, request: Message) -> None:
        outer = current_context.set(partial(context_of, self._context.connection, _without_content(request)))
        span = None if self._telemetry is NO_TELEMETRY else self._telemetry.request(request)
        if span is not None:
            enter(span)
        try:
            outcome = self._router.call(request["method"], request.get("params"))
            if isinstance(outcome, Awaitable):
                self._in_flight.admit(outcome)
                self._tasks.start(self._answer_later, request, outcome, span)
                return
        except Exception as exc:  # noqa: BLE001 - wire_error() logs what it does not know
            self._outbox.send(envelope.error(request["id"], *wire_error(exc)))
            if span is not None:
                span.end(error_name(exc))
        else:
            self._answer(request, outcome)
            if span is not None:
                span.end()
        finally:
            current_context.reset(outer)

    def _in_context(self, take: Callable[[Any], None], received: object) -> None:
        """Take what is no request, in the context of the connection."""
        outer = current_context.set(self._context)
        try:
            take(received)
        finally:
            current_context.reset(outer)

    def _answer(self, request: Message, outcome: object) -> None:
        if not isinstance(outcome, Reply):
            self._outbox.send(envelope.result(request["id"], outcome))
            return
        self._outbox.hold()  # the answer goes out together with what a task that follows it tells at once
        self._outbox.send(envelope.result(request["id"], outcome.result))
        follow([outcome.then])
        self._outbox.release()

    def _batch(self, entries: list[object]) -> None:
        if self._batches is None:
            from appserver.rpc.batches import Batches  # late: few clients send one

            self._batches = Batches(
                self._router, self._in_flight, self._outbox, self._tasks, self._reply, self._telemetry
            )
        self._batches.take(entries)

    async def _answer_later(self, request: Message, outcome: Awaitable[object], span: Span | None) -> None:
        try:
            answer = await (outcome if span is None else ended_with(span, outcome))
        except Exception as exc:  # noqa: BLE001 - wire_error() logs what it does not know
            self._outbox.send(envelope.error(request["id"], *wire_error(exc)))
        else:
            self._answer(request, answer)
        finally:
            self._in_flight.done(outcome)

    def _reply(self, message: Message) -> None:
        try:
            known = self._client.take_reply(message)
        except Exception as exc:  # noqa: BLE001 - a late reply that does not fit; wire_error() logs what it does not know
            self._warn(f"a late reply was not used: {wire_error(exc).message}")
        else:
            if not known:
                self._warn(f"ignored a reply that nobody waits for: id {message['id']!r:.80}")

    def _refuse(self, request_id: RequestId | None, code: int, text: str) -> None:
        self._outbox.send(envelope.error(request_id, code, text))


def _without_content(request: Message) -> Message:
    """Return what the context of a request is made of. Tasks keep their context, and params may hold secrets."""
    params = request.get("params")
    members = params if isinstance(params, dict) else {}
    named = {"threadId": members.get("threadId"), "_meta": members.get("_meta")}
    return {"id": request["id"], "trace": request.get("trace"), "params": named}
