"""One turn: its record, how it begins and ends, and how it looks on the wire. Pure but for ids and clock."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.item import Item, UserInput
    from protocol.turn import ItemsView, Turn, TurnError, TurnStatus


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7): sorts by time of creation."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@dataclass(slots=True, eq=False, repr=False)  # the other methods take time to make
class TurnRecord:
    """One turn, from its start to its only end."""

    input: list[UserInput]
    client_message_id: str | None = None
    output_schema: object = None
    service_tier: str | None = None
    """In place of the thread's, for this turn alone."""
    id: str = field(default_factory=new_id)
    status: TurnStatus = "inProgress"
    error: TurnError | None = None
    items: list[Item] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    """The pieces of messages that the model is writing, by item."""
    started_at: float | None = None
    completed_at: float | None = None
    duration_ms: int | None = None
    _clock_at_start: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Note that the turn has begun."""
        self.started_at = time.time()

    def end(self, status: TurnStatus, error: TurnError | None) -> None:
        """Note how the turn ended. A turn ends once."""
        if self.status != "inProgress":
            raise RuntimeError("a turn ends once")
        self.status, self.error = status, error
        self.completed_at = time.time()
        self.duration_ms = round((time.monotonic() - self._clock_at_start) * 1000)

    def on_wire(self, *, summary: bool = False) -> Turn:
        """Return the protocol's turn; with `summary`, the final message of the model is in it."""
        shown: list[Item] = []
        if summary:
            shown.extend([item for item in self.items if item.get("type") == "agentMessage"][-1:])
        return self._on_wire(shown, "summary" if shown else "notLoaded")

    def viewed(self, view: ItemsView) -> Turn:
        """Return the protocol's turn with all of its items, with the first message and the final one, or with none."""
        match view:
            case "full":
                return self._on_wire(self.items, view)
            case "summary":
                asked = [item for item in self.items if item.get("type") == "userMessage"][:1]
                answered = [item for item in self.items if item.get("type") == "agentMessage"][-1:]
                return self._on_wire([*asked, *answered], view)
            case "notLoaded":
                return self._on_wire([], view)

    def _on_wire(self, items: list[Item], view: ItemsView) -> Turn:
        return {
            "id": self.id,
            "items": items,
            "itemsView": view,
            "status": self.status,
            "error": self.error,
            "startedAt": None if self.started_at is None else int(self.started_at),
            "completedAt": None if self.completed_at is None else int(self.completed_at),
            "durationMs": self.duration_ms,
        }
