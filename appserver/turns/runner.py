"""Runs one turn: tells the parent of its items, asks the model, and leaves the record as it ended.

Emits events through a callable and sees the backend through a Protocol. That a turn ends exactly once, whatever
happens here, is the manager's guarantee.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from anyio import to_thread

from appserver.errors import BackendError
from appserver.llm.client import ModelRequest
from appserver.llm.events import stream_cut
from appserver.llm.limits import limits_in_headers
from appserver.turns.answer import Answer
from appserver.turns.input import message_item
from appserver.turns.state import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.llm.client import EventStream
    from appserver.turns.state import ThreadRecord, TurnRecord
    from protocol.account import RateLimitSnapshot
    from protocol.item import UserMessageItem

CONTEXT_WINDOW: int | None = None
"""Unknown: the backend does not tell it, and a wrong number misleads more than none."""


class Backend(Protocol):
    """Where a model request goes, credentials and all."""

    async def open(self, request: ModelRequest) -> EventStream:
        """Send a request and return its running answer. Raises BackendError or AuthError."""


@dataclass(frozen=True, slots=True)
class TurnRunner:
    """Runs turns, any number at a time."""

    backend: Backend
    emit: Callable[[str, object], None]
    room: Callable[[], Awaitable[None]]
    """Waits while the parent is slow to read."""

    async def run(self, thread: ThreadRecord, turn: TurnRecord) -> None:
        """Run a turn to its end. Raises BackendError or AuthError if it fails."""
        self._tell_user_message(thread, turn, await self._read_input(turn))
        answer = Answer(thread, turn, self.emit)
        stream = await self.backend.open(_request(thread, turn))
        try:
            async for batch in stream.batches():
                for event in batch:
                    answer.take(event)
                if answer.complete:
                    break
                await self.room()
            if not answer.complete:
                raise stream_cut("the connection was closed")
        except BackendError:
            self._tell_limits(limits_in_headers(stream.headers))
            raise
        finally:
            await stream.close()
        self._tell_usage(thread, turn, answer)
        self._tell_limits(limits_in_headers(stream.headers))

    async def _read_input(self, turn: TurnRecord) -> dict[str, Any]:
        """Build the model's view of the input. Files are read in a thread: a disk may be slow."""
        if any(one["type"] == "localImage" for one in turn.input):
            return await to_thread.run_sync(message_item, turn.input)
        return message_item(turn.input)

    def _tell_user_message(self, thread: ThreadRecord, turn: TurnRecord, remembered: dict[str, Any]) -> None:
        for one in turn.input:
            if one["type"] == "text":
                one.setdefault("text_elements", [])
        item: UserMessageItem = {
            "type": "userMessage",
            "id": new_id(),
            "clientId": turn.client_message_id,
            "content": turn.input,
        }
        thread.keep(turn, item, remembered)
        place = {"item": item, "threadId": thread.id, "turnId": turn.id}
        now = int(time.time() * 1000)
        self.emit("item/started", {**place, "startedAtMs": now})
        self.emit("item/completed", {**place, "completedAtMs": now})

    def _tell_usage(self, thread: ThreadRecord, turn: TurnRecord, answer: Answer) -> None:
        if answer.usage is None:
            return
        thread.add_usage(answer.usage)
        usage = {"total": thread.usage, "last": answer.usage, "modelContextWindow": CONTEXT_WINDOW}
        self.emit("thread/tokenUsage/updated", {"threadId": thread.id, "turnId": turn.id, "tokenUsage": usage})

    def _tell_limits(self, limits: RateLimitSnapshot | None) -> None:
        if limits is not None:
            self.emit("account/rateLimits/updated", {"rateLimits": limits})


def _request(thread: ThreadRecord, turn: TurnRecord) -> ModelRequest:
    developer = thread.developer_instructions
    preface = (
        [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": developer}]}]
        if developer
        else []
    )
    return ModelRequest(
        provider=thread.provider,
        thread_id=thread.id,
        model=thread.model,
        instructions=thread.instructions,
        input=[*preface, *thread.history],
        effort=thread.effort,
        summary=thread.summary,
        output_schema=turn.output_schema,
    )
