"""Reading threads: pages of threads, turns and items.

`limit` is at most 100 and 25 if left out. A cursor is opaque; `nextCursor` goes on, `backwardsCursor` goes back with
the opposite `sortDirection` and begins with the first row of this page.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from protocol.item import Item
from protocol.thread import Thread
from protocol.turn import ItemsView, Turn

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


class ThreadReadParams(TypedDict):
    """Which thread to read, loaded or not. includeTurns: with its whole transcript."""

    threadId: str
    includeTurns: NotRequired[bool | None]


class ThreadReadResult(TypedDict):
    thread: Thread


class ThreadListParams(TypedDict):
    """Which threads to list: newest first by creation if nothing else is said. Archived ones only if asked for.

    searchTerm: part of the name or preview, in upper or lower case. recency_at is the same as updated_at. Threads
    here have neither parent, project nor section: a filter by one of them finds nothing, projectId and sectionId null
    find all. excludedThreadIds: 100 at most. useStateDbOnly makes no difference.
    """

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]
    sortKey: NotRequired[Literal["created_at", "updated_at", "recency_at", "section_position"] | None]
    sortDirection: NotRequired[SortDirection | None]
    archived: NotRequired[bool | None]
    cwd: NotRequired[str | list[str] | None]
    modelProviders: NotRequired[list[str] | None]
    searchTerm: NotRequired[str | None]
    sourceKinds: NotRequired[list[SourceKind] | None]
    projectId: NotRequired[str | None]
    sectionId: NotRequired[str | None]
    parentThreadId: NotRequired[str | None]
    ancestorThreadId: NotRequired[str | None]
    excludedThreadIds: NotRequired[list[str] | None]
    originators: NotRequired[list[str] | None]
    useStateDbOnly: NotRequired[bool]


class ThreadListResult(TypedDict):
    """A page of threads, without their turns."""

    data: list[Thread]
    nextCursor: str | None
    backwardsCursor: str | None


class ThreadLoadedListParams(TypedDict):
    """Which page; all of it if no limit is given."""

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]


class ThreadLoadedListResult(TypedDict):
    """Ids of the threads that are loaded, the oldest first."""

    data: list[str]
    nextCursor: str | None


class ThreadTurnsListParams(TypedDict):
    """Which turns of a thread: the last ones first, in summary, if nothing else is said."""

    threadId: str
    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]
    itemsView: NotRequired[ItemsView | None]


class TurnsPage(TypedDict):
    data: list[Turn]
    nextCursor: str | None
    backwardsCursor: str | None


class ItemAnchor(TypedDict):
    """An item of the turn that is named beside it; the page begins behind it, in either direction."""

    type: Literal["item"]
    itemId: str


class ThreadItemsListParams(TypedDict):
    """Which items of a thread, or of one of its turns: the first ones first if nothing else is said."""

    threadId: str
    turnId: NotRequired[str | None]
    cursor: NotRequired[str | ItemAnchor | None]
    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]


class ThreadItemEntry(TypedDict):
    """A finished item, and where it belongs; completedAtMs is Unix time in milliseconds."""

    item: Item
    turnId: str
    completedAtMs: int | None


class ThreadItemsListResult(TypedDict):
    data: list[ThreadItemEntry]
    nextCursor: str | None
    backwardsCursor: str | None


class InitialTurnsPageParams(TypedDict):
    """Which turns to bring with a resumed thread."""

    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]
    itemsView: NotRequired[ItemsView | None]
