"""Classes of protocol/thread_list.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from appserver.client.types.item import Item
from appserver.client.types.thread import Thread
from appserver.client.types.turn import ItemsView, Turn
from appserver.client.wire import Data

SortDirection = Literal["asc", "desc"]


SourceKind = Literal[
    "cli",
    "vscode",
    "exec",
    "appServer",
    "subAgent",
    "subAgentReview",
    "subAgentCompact",
    "subAgentThreadSpawn",
    "subAgentOther",
    "unknown",
]
"""Where a thread comes from. All threads here are of source vscode: what the reference makes of its clients."""


@dataclass(frozen=True)
class ThreadReadResult(Data):
    thread: Thread


@dataclass(frozen=True)
class ThreadListResult(Data):
    """A page of threads, without their turns."""

    data: list[Thread]
    next_cursor: str | None
    backwards_cursor: str | None


@dataclass(frozen=True)
class ThreadLoadedListResult(Data):
    """Ids of the threads that are loaded, the oldest first."""

    data: list[str]
    next_cursor: str | None


@dataclass(frozen=True)
class TurnsPage(Data):
    data: list[Turn]
    next_cursor: str | None
    backwards_cursor: str | None


@dataclass(frozen=True)
class ItemAnchor(Data):
    """An item of the turn that is named beside it; the page begins behind it, in either direction."""

    type: ClassVar[Literal["item"]] = "item"
    item_id: str


@dataclass(frozen=True)
class ThreadItemEntry(Data):
    """A finished item, and where it belongs; completed_at_ms is Unix time in milliseconds."""

    item: Item
    turn_id: str
    completed_at_ms: int | None


@dataclass(frozen=True)
class ThreadItemsListResult(Data):
    data: list[ThreadItemEntry]
    next_cursor: str | None
    backwards_cursor: str | None


@dataclass(frozen=True)
class InitialTurnsPageParams(Data):
    """Which turns to bring with a resumed thread."""

    limit: int | None = None
    sort_direction: SortDirection | None = None
    items_view: ItemsView | None = None
