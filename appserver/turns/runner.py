"""Runs one turn: tells the model what the user said, and goes on for as long as the model asks for tools.

One round is one answer of the model, however many requests it takes to get it. Emits events through a callable and
sees backend and client through Protocols. That a turn ends exactly once, whatever happens here, is the manager's
guarantee.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import anyio

from appserver.errors import BackendError
from appserver.llm.events import stream_cut
from appserver.llm.retry import Retrying
from appserver.telemetry import NO_TELEMETRY
from appserver.turns.inbox import Injected
from appserver.turns.notifications import TurnNotifications
from appserver.turns.requests import model_request, preface
from appserver.turns.response import ModelResponse
from appserver.turns.tool_definitions import definitions
from appserver.turns.tools import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from appserver.llm.client import EventStream, ModelRequest
    from appserver.telemetry import Telemetry
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import TurnSettings
    from appserver.threads.turn_record import TurnRecord
    from appserver.turns.inbox import Inbox, UserMessage
    from appserver.turns.notifications import ItemPlace
    from appserver.turns.tools import TurnClient
    from protocol.item import Item
    from protocol.notify import Notify

MAX_ROUNDS = 500
"""Answers in one turn. Long work takes a hundred; a model that goes round in circles would never end."""


class ModelBackend(Protocol):
    """Where model requests are sent. Takes care of credentials."""

    async def open(self, request: ModelRequest) -> EventStream:
        """Send a request and return its running answer. Raises BackendError or AuthError."""


@dataclass(frozen=True, slots=True)
class TurnRunner:
    """Runs turns, any number at a time."""

    backend: ModelBackend
    emit: Notify
    drain: Callable[[str], Awaitable[None]]
    """Waits while a client that follows the thread with this id is slow to read."""
    tool_timeout: float
    """Seconds that a call of a client's tool may take."""
    retrying: Retrying = field(default_factory=Retrying)
    telemetry: Telemetry = NO_TELEMETRY

    async def run(self, thread: ThreadRecord, turn: TurnRecord, inbox: Inbox, client: TurnClient) -> None:
        """Run a turn of a client's to its end. Raises BackendError or AuthError if it fails."""
        settings = thread.turn_settings(turn.service_tier)
        running = _Running(
            self, thread, turn, inbox, client, TurnNotifications(thread, turn, self.emit, self.telemetry), settings
        )
        for said in turn.items:  # written with its start
            running.tell_said(said)
        try:
            await running.to_the_end()
        finally:
            await running.take_messages()  # the client has been told that they were accepted


@dataclass(frozen=True, slots=True)
class _Running:
    """One turn under way."""

    by: TurnRunner
    thread: ThreadRecord
    turn: TurnRecord
    inbox: Inbox
    client: TurnClient
    notifications: TurnNotifications
    settings: TurnSettings

    async def to_the_end(self) -> None:
        """Take one response after another until the model asks for no tool and the user has sent no message."""
        for _ in range(MAX_ROUNDS):
            if not await self._round() and not self.inbox:
                # The last message is read before the turn is told to be over: until then there may be another one.
                await self.by.drain(self.thread.id)
                if not self.inbox:
                    return
        raise BackendError(f"The model went on asking for tools: {MAX_ROUNDS} rounds in one turn")

    async def take_messages(self) -> None:
        """Add the messages in the inbox to the conversation."""
        while self.inbox:  # others may come while one is written
            for message in self.inbox.take():
                await self._take_message(message)

    async def _take_message(self, message: UserMessage | Injected) -> None:
        if isinstance(message, Injected):
            for one in message.items:
                await self.thread.add_item(self.turn, None, one)
            return
        for entry in message.entries(self.thread.context):
            await self.thread.add_item(self.turn, entry.item, entry.remembered)
            if entry.item is not None:
                self.tell_said(entry.item)
        self.thread.context = message.context or {}

    def tell_said(self, item: Item) -> None:
        """Tell of what the user has said, which is an item that begins and ends at once."""
        place: ItemPlace = {"item": item, **self.notifications.place}
        now = int(time.time() * 1000)
        self.by.emit("item/started", {**place, "startedAtMs": now})
        self.by.emit("item/completed", {**place, "completedAtMs": now})

    async def _round(self) -> bool:
        """Get one response, however many requests it takes. Returns whether the model has called a tool."""
        return await self.by.retrying.answer(
            self.settings.provider, self.notifications, self._send, self._take_response
        )

    async def _send(self) -> EventStream:
        """Send the conversation, with the messages that have come by now."""
        await self.take_messages()
        return await self.by.backend.open(self._request())

    async def _take_response(self, stream: EventStream) -> bool:
        """Take a response, and wait for the tools that it calls. Returns whether it calls any.

        A stream that breaks does not cancel the calls: a tool may have effects, so the model must learn its output.
        """
        failure: BackendError | None = None
        group = anyio.create_task_group()
        calls = ToolCalls(self.thread, self.turn, self.client, self.by.tool_timeout, self.by.emit, group.start_soon)
        response = ModelResponse(self.thread, self.turn, self.by.emit, calls.begin)
        try:
            async with group:
                try:
                    await self._read(stream, response, group)
                except BackendError as exc:
                    failure = exc
                    if not exc.retryable:
                        group.cancel_scope.cancel()
        finally:
            await calls.fail_open()
            self.notifications.usage(response.usage)
            self.notifications.limits(stream.headers)
        if failure is not None:
            raise failure
        return calls.any

    async def _read(self, stream: EventStream, response: ModelResponse, group: TaskGroup) -> None:
        """Read to the final event, or until the user says something. Raises BackendError."""
        try:
            with self.inbox.listening():
                await self._take_events(stream, response, group)
        finally:
            await stream.close()

    async def _take_events(self, stream: EventStream, response: ModelResponse, group: TaskGroup) -> None:
        """Take all events. An item is written while the next event is waited for, and told before that is taken."""
        written: anyio.Event | None = None
        try:
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    for event in batch:
                        if written is not None and not response.completes(event):
                            await written.wait()
                            written = None
                        ending = response.take(event)
                        if ending is not None:
                            written = anyio.Event()
                            group.start_soon(_finish, ending, written)
                    if response.complete:
                        return
                    await self.by.drain(self.thread.id)
        except anyio.get_cancelled_exc_class():
            await response.cut_short()
            raise
        raise stream_cut("the connection was closed")

    def _request(self) -> ModelRequest:
        items = [*preface(self.settings), *self.thread.history]
        tools = definitions(self.thread.settings.tools)
        return model_request(self.thread.id, self.client.session, self.settings, items, tools, self.turn.output_schema)


async def _finish(ending: Awaitable[None], written: anyio.Event) -> None:
    """Write an item, and tell that it has ended."""
    await ending
    written.set()
