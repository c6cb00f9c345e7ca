"""What has been told of items that are not complete yet: a client that follows a running turn late is told it again.

Learns it from the notifications of turns as they go out. Knows no connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Notification = tuple[str, dict[str, Any]]
"""Method and params."""

MESSAGE_DELTA = "item/agentMessage/delta"
"""The hot path: what a turn keeps of it already is not kept again."""


class RunningItems:
    """The items of running turns, by thread."""

    def __init__(self, texts: Callable[[str], Mapping[str, list[str]]]) -> None:
        """`texts(thread_id)`: the pieces of the messages that the model is writing, by item. They are kept once."""
        self._texts = texts
        self._threads: dict[str, dict[str, _Item]] = {}

    def note(self, method: str, params: dict[str, Any]) -> None:
        """Take note of a notification of a turn."""
        if method == MESSAGE_DELTA:
            return
        if method == "item/started":
            self._threads.setdefault(params["threadId"], {})[params["item"]["id"]] = _Item(params)
        elif method == "item/completed":
            self._threads.get(params["threadId"], {}).pop(params["item"]["id"], None)
        elif method == "turn/completed":
            self._threads.pop(params["threadId"], None)
        elif method.startswith("item/"):
            item = self._threads.get(params["threadId"], {}).get(params["itemId"])
            if item is not None:
                item.add(method, params)

    def so_far(self, thread_id: str) -> list[Notification]:
        """Return what leads to where the items of a thread are now: their starts, and their deltas joined."""
        texts = self._texts(thread_id)
        return [
            told
            for item_id, item in self._threads.get(thread_id, {}).items()
            for told in item.so_far(texts.get(item_id, ()))
        ]


class _Part:
    """Deltas of one kind for one place, such as the second part of a summary."""

    __slots__ = ("method", "params", "pieces")

    def __init__(self, method: str, params: dict[str, Any]) -> None:
        self.method = method
        self.params = params
        self.pieces: list[str] = []
        """None, if it was only begun."""


class _Item:
    def __init__(self, started: dict[str, Any]) -> None:
        self._started = started
        self._parts: dict[tuple[str, object], _Part] = {}

    def add(self, method: str, params: dict[str, Any]) -> None:
        """Add a delta, or the beginning of a part."""
        place = method, params.get("summaryIndex", params.get("contentIndex"))
        part = self._parts.get(place)
        if part is None:
            part = self._parts[place] = _Part(method, params)
        if "delta" in params:
            part.pieces.append(params["delta"])

    def so_far(self, text: Sequence[str]) -> Iterator[Notification]:
        """Return its notifications. `text`: the pieces of a message."""
        yield "item/started", self._started
        if text:
            place = {name: self._started[name] for name in ("threadId", "turnId")}
            yield MESSAGE_DELTA, {**place, "itemId": self._started["item"]["id"], "delta": "".join(text)}
        for part in self._parts.values():
            yield part.method, {**part.params, "delta": "".join(part.pieces)} if part.pieces else part.params


def item_id_of(params: dict[str, Any]) -> str | None:
    """Return the id of the item that a notification is about, if it is about one."""
    item = params.get("item")
    found = item.get("id") if isinstance(item, dict) else params.get("itemId")
    return found if isinstance(found, str) else None
