"""Batches (JSON-RPC 2.0, section 6): the responses to all requests of a batch are sent as one array.

A batch is handled in slices, between which the event loop runs other tasks. A request that waits does not delay the
next slice.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from appserver.request_context import current_context
from appserver.rpc.router import context_of, follow
from appserver.telemetry import ended_with, enter
from protocol import envelope, error_codes
from protocol.envelope import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio import Event

    from appserver.rpc.in_flight import InFlight
    from appserver.rpc.outbox import Outbox
    from appserver.rpc.router import Router
    from appserver.tasks import Tasks
    from appserver.telemetry import Telemetry
    from protocol.envelope import Message

T = TypeVar("T")

SLICE_ENTRIES = 32
"""Entries that are started without a pause: a few milliseconds, by which they may delay a delta or an interrupt."""

MAX_ENTRIES = 50_000
"""Entries of a batch; one with more is refused as a whole. All responses are kept in memory until the last is there,
and a line of the maximum length could hold millions of requests."""


class Batches:
    def __init__(
        self,
        router: Router,
        in_flight: InFlight,
        outbox: Outbox,
        tasks: Tasks,
        take_reply: Callable[[Message], None],
        telemetry: Telemetry,
    ) -> None:
        self._telemetry = telemetry
        self._router = router
        self._in_flight = in_flight
        self._outbox = outbox
        self._tasks = tasks
        self._take_reply = take_reply
        self.not_begun = 0
        """Entries that no task has looked at yet."""
        self._drained: Event | None = None

    def take(self, entries: list[object]) -> None:
        """Start to answer a batch. Each invalid entry is answered with an error; replies go to their requests."""
        if len(entries) > MAX_ENTRIES:
            text = f"Batch too large: {len(entries)} entries, and {MAX_ENTRIES} at most"
            self._outbox.send(envelope.error(None, error_codes.INVALID_REQUEST, text))
            return
        self._in_flight.batch_begins()
        self.not_begun += len(entries)
        self._tasks.start(self._answer, entries)

    async def drain(self) -> None:
        """Wait while more than MAX_ENTRIES entries have not been started."""
        from anyio import Event

        while self.not_begun > MAX_ENTRIES:
            self._drained = self._drained or Event()
            await self._drained.wait()

    async def _answer(self, entries: list[object]) -> None:
        from anyio import create_task_group
        from anyio.lowlevel import checkpoint

        answers: list[bytes] = []
        sequels: list[Callable[[], None]] = []
        try:
            async with create_task_group() as group:
                for begun in _slices(entries):
                    group.start_soon(self._answer_slice, begun, answers, sequels)
                    await checkpoint()
                    await self._in_flight.pause()
                    self._note_begun(len(begun))
            if answers:
                self._outbox.send_batch(answers)
            while sequels:
                some, sequels[:] = sequels[:SLICE_ENTRIES], sequels[SLICE_ENTRIES:]
                follow(some)
                await checkpoint()
        finally:
            follow(sequels)  # the client has left: a turn that was started for it must run and end all the same
            self._in_flight.batch_ends()

    def _note_begun(self, entries: int) -> None:
        self.not_begun -= entries
        if self._drained is not None and self.not_begun <= MAX_ENTRIES:
            self._drained.set()
            self._drained = None

    async def _answer_slice(
        self, entries: list[object], answers: list[bytes], sequels: list[Callable[[], None]]
    ) -> None:
        from appserver.rpc.jsonrpcserver_adapter import dispatch  # late: few clients send batches

        requests: list[Message] = []
        for entry in entries:
            kind = envelope.classify(entry) if isinstance(entry, dict) else Kind.INVALID
            if kind is Kind.INVALID:
                refusal = envelope.error(envelope.readable_id(entry), error_codes.INVALID_REQUEST, "Invalid request")
                answers.append(self._outbox.encoded(refusal))
            elif kind is Kind.RESPONSE and isinstance(entry, dict):
                self._take_reply(entry)
            elif kind is Kind.REQUEST and isinstance(entry, dict):
                requests.append(entry)
        if requests:
            responses = await dispatch(requests, self._call, sequels)
            answers.extend(map(self._outbox.encoded, responses))

    async def _call(self, request: Message) -> object:
        """Call a method, and await what it returns if that is an awaitable. Raises what it raises, and Overloaded.

        Runs in a task of its own.
        """
        current_context.set(context_of(current_context.get().connection, request))
        span = self._telemetry.request(request)
        enter(span)
        return await ended_with(span, self._outcome(request))

    async def _outcome(self, request: Message) -> object:
        outcome = self._router.call(request["method"], request.get("params"))
        if not isinstance(outcome, Awaitable):
            return outcome
        self._in_flight.admit(outcome)
        try:
            return await outcome
        finally:
            self._in_flight.done(outcome)


def _slices(whole: list[T]) -> Iterator[list[T]]:
    return (whole[start : start + SLICE_ENTRIES] for start in range(0, len(whole), SLICE_ENTRIES))
