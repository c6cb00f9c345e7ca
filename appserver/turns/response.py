"""One answer of the model, from its events to items: what is told to the client, and what goes into the history.

Knows the events' meaning, not where they come from. The hot path of the server is `_text_delta`: one call per token.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from appserver.llm.events import failure_in_stream, for_history, object_in, token_usage
from appserver.threads.model_items import agent_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.llm.events import Event
    from appserver.threads.record import ThreadRecord
    from appserver.threads.turn_record import TurnRecord
    from appserver.turns.notifications import ItemPlace, PartPlace
    from protocol.item import AgentMessageItem, Item, ReasoningItem
    from protocol.notify import Notify
    from protocol.thread import TokenUsage


COMPLETED = "response.completed"


class ModelResponse:
    """Takes the events of one response in order."""

    def __init__(
        self,
        thread: ThreadRecord,
        turn: TurnRecord,
        emit: Notify,
        on_call: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.complete = False
        """Whether the final event has come: without it, the stream was cut."""
        self.usage: TokenUsage | None = None
        self._thread = thread
        self._turn = turn
        self._emit = emit
        self._on_call = on_call
        self._open: dict[str, list[str]] = {}
        """The pieces of the texts of items that have not ended."""
        turn.texts = {}
        self._take: dict[str, Callable[[Event], Awaitable[None] | None]] = {
            "response.output_text.delta": self._text_delta,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.reasoning_summary_part.added": self._summary_part,
            "response.reasoning_summary_text.delta": self._summary_delta,
            "response.reasoning_text.delta": self._reasoning_delta,
            COMPLETED: self._completed,
            "response.failed": self._failed,
            "response.incomplete": self._failed,
            "error": self._failed,
        }

    def take(self, event: Event) -> Awaitable[None] | None:
        """Take one event. Raises BackendError if it tells of a failure. What is not known is passed over.

        Where an event ends an item, the rest is returned to be awaited: the item is written before it is sent. Until
        then no event may be taken, but for one that `completes` the response.
        """
        handle = self._take.get(event["type"])
        return None if handle is None else handle(event)

    def completes(self, event: Event) -> bool:
        """Whether an event ends the response and nothing else: it need not wait for the end of the item before it."""
        return event["type"] == COMPLETED and not self._open

    async def cut_short(self) -> None:
        """End each message with what has come of it: no more will, and the client has seen this much."""
        for item_id in list(self._open):
            if self._open[item_id]:
                await self._close_message(item_id, "", {})

    def _text_delta(self, event: Event) -> None:
        item_id, delta = event.get("item_id"), event.get("delta")
        if not isinstance(item_id, str) or not isinstance(delta, str):
            return
        texts = self._open.get(item_id)
        if texts is None:
            texts = self._open_message(item_id)
        texts.append(delta)
        self._emit(
            "item/agentMessage/delta",
            {"threadId": self._thread.id, "turnId": self._turn.id, "itemId": item_id, "delta": delta},
        )

    def _item_added(self, event: Event) -> None:
        item = object_in(event, "item")
        item_id = item.get("id")
        if not isinstance(item_id, str):
            return
        if item.get("type") == "message":
            self._open_message(item_id)
        elif item.get("type") == "reasoning":
            self._started(_reasoning(item_id, item))
            self._open[item_id] = []

    def _item_done(self, event: Event) -> Awaitable[None] | None:
        item = object_in(event, "item")
        found_id = item.get("id")
        item_id = found_id if isinstance(found_id, str) else f"item-{len(self._turn.items)}"
        if item.get("type") == "message":
            return self._close_message(item_id, _text_of(item), item)
        if item.get("type") == "reasoning":
            found = _reasoning(item_id, item)
            if self._open.pop(item_id, None) is None:
                self._started(found)
            return self._ended(found, item)
        if item.get("type") == "function_call":
            return self._on_call(item)
        return None

    def _completed(self, event: Event) -> Awaitable[None] | None:
        """End the answer. Its output may be empty: what counts are the items that were streamed."""
        self.usage = token_usage(event)
        self.complete = True
        return self.cut_short() if self._open else None

    def _failed(self, event: Event) -> None:
        raise failure_in_stream(event)

    def _summary_part(self, event: Event) -> None:
        place, index = self._part_of(event), event.get("summary_index")
        if place is not None and isinstance(index, int):
            self._emit("item/reasoning/summaryPartAdded", {**place, "summaryIndex": index})

    def _summary_delta(self, event: Event) -> None:
        place, delta, index = self._part_of(event), event.get("delta"), event.get("summary_index")
        if place is not None and isinstance(delta, str) and isinstance(index, int):
            self._emit("item/reasoning/summaryTextDelta", {**place, "delta": delta, "summaryIndex": index})

    def _reasoning_delta(self, event: Event) -> None:
        place, delta, index = self._part_of(event), event.get("delta"), event.get("content_index")
        if place is not None and isinstance(delta, str) and isinstance(index, int):
            self._emit("item/reasoning/textDelta", {**place, "delta": delta, "contentIndex": index})

    def _part_of(self, event: Event) -> PartPlace | None:
        item_id = event.get("item_id")
        if not isinstance(item_id, str):
            return None
        return {"threadId": self._thread.id, "turnId": self._turn.id, "itemId": item_id}

    def _open_message(self, item_id: str) -> list[str]:
        self._started(_message(item_id, ""))
        texts: list[str] = []
        self._open[item_id] = self._turn.texts[item_id] = texts
        return texts

    def _close_message(self, item_id: str, text: str, upstream: dict[str, Any]) -> Awaitable[None]:
        if item_id not in self._open:
            self._open_message(item_id)
        pieces = self._open.pop(item_id)
        text = text or "".join(pieces)
        pieces[:] = [text]  # a long message is not held twice while it is written
        parts = upstream.get("content") or []
        plain = all(isinstance(part, dict) and part.get("type") == "output_text" for part in parts)
        remembered = agent_message(text) if plain else {"type": "message", "role": "assistant", "content": parts}
        return self._ended(_message(item_id, text), remembered)

    def _started(self, item: Item) -> None:
        self._emit("item/started", {**self._place(item), "startedAtMs": _now_ms()})

    async def _ended(self, item: Item, upstream: dict[str, Any]) -> None:
        await self._thread.add_item(self._turn, item, for_history(upstream))
        self._turn.texts.pop(item["id"], None)  # not before: whoever reads the history now may not find the item in it
        self._emit("item/completed", {**self._place(item), "completedAtMs": _now_ms()})

    def _place(self, item: Item) -> ItemPlace:
        return {"item": item, "threadId": self._thread.id, "turnId": self._turn.id}


def _message(item_id: str, text: str) -> AgentMessageItem:
    return {"type": "agentMessage", "id": item_id, "text": text, "phase": None}


def _reasoning(item_id: str, item: dict[str, Any]) -> ReasoningItem:
    return {
        "type": "reasoning",
        "id": item_id,
        "summary": _texts_in(item.get("summary")),
        "content": _texts_in(item.get("content")),
    }


def _text_of(item: dict[str, Any]) -> str:
    return "".join(_texts_in(item.get("content")))


def _texts_in(parts: object) -> list[str]:
    if not isinstance(parts, list):
        return []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _now_ms() -> int:
    return int(time.time() * 1000)
