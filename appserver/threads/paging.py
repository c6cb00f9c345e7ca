"""Pages: what is asked for, what comes back, and the cursors between two of them. Pure.

A cursor holds the position of a row in a total order, so the next page continues there whatever was added or removed
meanwhile; no page is remembered by the server. To clients it is opaque.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from appserver import json_text
from appserver.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.item import Item

SortKey: TypeAlias = Literal["created_at", "updated_at"]

Position: TypeAlias = tuple[int | float | str, ...]
"""The place of a row in its order."""

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
"""Rows of a page at most, so that no page grows into a frame that a client cannot take."""

MAX_INTEGER = 2**63 - 1
"""What a database can compare with."""

ALL = MAX_INTEGER - 1
"""The limit of a page that takes all rows there are."""

ROW = TypeVar("ROW")

_SHAPES: dict[str, tuple[type, ...]] = {
    "created_at": (float, str),  # time, thread id
    "updated_at": (int, int),  # the last touch when the paging began (or NOW), the thread's last touch as of then
    "turns": (int,),
    "items": (int, int),  # turn, item
    "loaded": (str,),
}

TOUCHES_KEPT = 10_000
"""How many touches of threads are remembered for who pages by them: the starts and ends of 5,000 turns. A paging that
began earlier is refused, because it could drop threads."""

PRUNING_STEP = 256
"""Touches after which some are forgotten: so seldom that it costs a touch nothing, and so few that it takes no time."""

NOW = -1
"""In place of the last touch: the one at the time of the call."""


class Cursor(NamedTuple):
    """Where a page begins: behind a position, or with it."""

    position: Position
    inclusive: bool = False


class PageQuery(NamedTuple):
    """Which page of turns or items."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    descending: bool = True
    anchor: str | None = None
    """In place of a cursor: the id of an item of the one turn that is asked for. The page begins behind it."""


class ThreadQuery(NamedTuple):
    """Which page of which threads. None: no such filter."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    descending: bool = True
    sort_key: SortKey = "created_at"
    archived: bool = False
    cwds: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    search: str | None = None
    excluded: tuple[str, ...] = ()


class Page(NamedTuple, Generic[ROW]):
    """Some rows, and the cursors to go on: forwards, and backwards from the first row (which comes again)."""

    rows: list[ROW]
    next: str | None
    back: str | None


class StoredItem(NamedTuple):
    """An item of the transcript, and where it stands."""

    turn_id: str
    item: Item
    completed_at: float


def page_size(limit: int | None) -> int:
    """Return the limit to use for one that a client gave."""
    return DEFAULT_LIMIT if limit is None else min(max(limit, 1), MAX_LIMIT)


def page_of(kind: str, found: Sequence[tuple[Position, ROW]], limit: int) -> Page[ROW]:
    """Make a page of rows in order; there is a next one if more than `limit` were found."""
    rows = [row for _, row in found[:limit]]
    following = encode(kind, Cursor(found[limit - 1][0])) if len(found) > limit else None
    first = found[0][0] if found else None
    if first is not None and kind == "updated_at":
        first = (NOW, *first[1:])  # who goes back wants to see what has been updated since
    return Page(rows, following, encode(kind, Cursor(first, inclusive=True)) if first is not None else None)


def horizon(newest: int) -> int:
    """Return the number of the touch before which only the last one of each thread is remembered."""
    return newest - TOUCHES_KEPT


def check_beginning(as_of: int, newest: int) -> None:
    """Refuse a paging by touches that began too long ago. Raises InvalidParams."""
    if as_of < horizon(newest):
        raise InvalidParams("Invalid params: cursor: too old, too much has changed since; begin again without one")


def encode(kind: str, cursor: Cursor) -> str:
    """Return a cursor as text."""
    text = json_text.encode([kind, cursor.inclusive, *cursor.position])
    return urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def decode(kind: str, text: str | None) -> Cursor | None:
    """Return the cursor of a text that `encode` made for this kind of page. Raises InvalidParams."""
    if text is None:
        return None
    try:
        found = json_text.decode(urlsafe_b64decode(text.encode("ascii") + b"==").decode())
        made_for, inclusive, *position = found
    except (ValueError, TypeError):
        raise _not_ours() from None
    if made_for != kind or not isinstance(inclusive, bool) or not _fits(kind, position):
        raise _not_ours()
    return Cursor(tuple(position), inclusive)


def no_anchor() -> InvalidParams:
    """Return the error for an anchor that is no item of the turn. The words are the reference's."""
    return InvalidParams("cursor.itemId does not identify an item in the requested history scope")


def _fits(kind: str, position: list[object]) -> bool:
    shape = _SHAPES[kind]
    in_range = all(abs(value) <= MAX_INTEGER for value in position if isinstance(value, int))
    return in_range and [type(value) for value in position] == list(shape)


def _not_ours() -> InvalidParams:
    return InvalidParams("Invalid params: cursor: not one that this method returned for this order")
