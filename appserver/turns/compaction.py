"""Makes a long conversation short: the model sums it up, and the summary takes the place of the history.

Runs as a turn of its own. What clients see of the thread stays as it was; only what the model is sent changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appserver.errors import BackendError
from appserver.llm.events import failure_in_stream, stream_cut, token_usage
from appserver.llm.retry import Retrying
from appserver.telemetry import NO_TELEMETRY
from appserver.threads.turn_record import new_id
from appserver.turns.notifications import TurnNotifications
from appserver.turns.requests import model_request

if TYPE_CHECKING:
    from appserver.llm.client import EventStream
    from appserver.llm.events import Event
    from appserver.session import Session
    from appserver.telemetry import Telemetry
    from appserver.threads.record import ThreadRecord
    from appserver.threads.turn_record import TurnRecord
    from appserver.turns.notifications import ItemPlace
    from appserver.turns.runner import ModelBackend
    from protocol.item import ContextCompactionItem
    from protocol.notify import Notify
    from protocol.thread import TokenUsage

REQUEST = (
    "Sum up this conversation for an assistant that takes it over from here and sees nothing else of it. Say what the"
    " user wants, what was found out and decided, what has been done, and what is left to do. Keep names, numbers,"
    " paths and quotations that matter, word for word. Answer with the summary alone."
)

PREFACE = "Summary of the conversation so far, from the assistant that held it:\n\n"

_FAILURES = ("response.failed", "response.incomplete", "error")


@dataclass(frozen=True, slots=True)
class Compactor:
    """Compacts threads, any number at a time."""

    backend: ModelBackend
    emit: Notify
    retrying: Retrying = field(default_factory=Retrying)
    telemetry: Telemetry = NO_TELEMETRY

    async def run(self, thread: ThreadRecord, turn: TurnRecord, session: Session) -> None:
        """Run a turn that compacts, in the name of a client.

        Raises BackendError or AuthError, and the history is as it was.
        """
        item: ContextCompactionItem = {"type": "contextCompaction", "id": new_id()}
        place: ItemPlace = {"item": item, "threadId": thread.id, "turnId": turn.id}
        self.emit("item/started", {**place, "startedAtMs": int(time.time() * 1000)})
        if thread.history:
            summary = await self._summary(thread, turn, session)
            await thread.replace_history(turn, item, _said(PREFACE + summary))
        else:
            await thread.add_item(turn, item, None)
        self.emit("item/completed", {**place, "completedAtMs": int(time.time() * 1000)})

    async def _summary(self, thread: ThreadRecord, turn: TurnRecord, session: Session) -> str:
        notifications, settings = TurnNotifications(thread, turn, self.emit, self.telemetry), thread.turn_settings()
        items = [*thread.history, _said(REQUEST)]
        return await self.retrying.answer(
            settings.provider,
            notifications,
            send=lambda: self.backend.open(model_request(thread.id, session, settings, items, [])),
            read=lambda stream: _taken(stream, notifications),
        )


async def _taken(stream: EventStream, notifications: TurnNotifications) -> str:
    try:
        text, usage = await _read(stream)
    finally:
        await stream.close()
    notifications.limits(stream.headers)
    notifications.usage(usage)
    if not text.strip():
        raise BackendError("The model returned no summary")
    return text


async def _read(stream: EventStream) -> tuple[str, TokenUsage | None]:
    """Read a response to its end and return its text, without the reasoning."""
    text: list[str] = []
    async for batch in stream.batches():
        for event in batch:
            if event["type"] in _FAILURES:
                raise failure_in_stream(event)
            if event["type"] == "response.completed":
                return "".join(text), token_usage(event)
            text.append(_text_in(event))
    raise stream_cut("the connection was closed")


def _text_in(event: Event) -> str:
    delta = event.get("delta") if event["type"] == "response.output_text.delta" else None
    return delta if isinstance(delta, str) else ""


def _said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
