"""How records become columns of a database, and columns records: threads.db's, and others'. Runs no statement.

What is not compared by the database is JSON, in ASCII: that takes any text that a client may send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, cast

from appserver import json_text
from appserver.threads.metadata import ThreadMetadata
from appserver.threads.model_items import model_item
from appserver.threads.record import NO_USAGE
from appserver.threads.settings import ThreadSettings
from appserver.threads.stores.base import folded, plain
from appserver.threads.transcript import Entry
from appserver.threads.turn_record import TurnRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appserver.threads.stores.base import Changes
    from protocol.item import Item
    from protocol.thread import TokenUsage
    from protocol.turn import ItemsView

Row = tuple[Any, ...]

dumps = json_text.encode
loads = json_text.decode_stored


class MetadataColumn(TypedDict):
    """The column `metadata`: members of ThreadMetadata that the database neither sorts nor filters by."""

    id: str
    provider: str
    model: str
    effort: str | None
    cwd: str
    originator: str
    version: str
    preview: str
    forked_from: str | None
    thread_source: str | None


THREAD_COLUMNS = "created_at, updated_at, archived, name, git_info, metadata"
TURN_COLUMNS = "id, status, error, started_at, completed_at, duration_ms"
SAME = "true"
"""In the column `remembered`: it follows from the column `item`. A long text or an image is not written twice."""

ENTRY_COLUMNS = "item, remembered, forgets, completed_at"


def changing_columns(metadata: ThreadMetadata, usage: TokenUsage) -> dict[str, object]:
    """Return the columns of `threads` that may change while turns run."""
    column: MetadataColumn = {
        "id": metadata.id,
        "provider": metadata.provider,
        "model": metadata.model,
        "effort": metadata.effort,
        "cwd": metadata.cwd,
        "originator": metadata.originator,
        "version": metadata.version,
        "preview": metadata.preview,
        "forked_from": metadata.forked_from,
        "thread_source": metadata.thread_source,
    }
    return {
        "cwd": plain(metadata.cwd),
        "provider": plain(metadata.provider),
        "preview_folded": folded(metadata.preview),
        "metadata": dumps({**metadata.unknown, **column}),
        "usage": dumps(usage),
    }


def thread_row(metadata: ThreadMetadata, usage: TokenUsage, touched: int, *, listed: bool) -> dict[str, object]:
    """Return the columns of `threads` for a new one."""
    return {
        "id": metadata.id,
        "created_at": metadata.created_at,
        "updated_at": metadata.updated_at,
        "touched": touched,
        "listed": listed,
        "name": dumps(metadata.name),
        "name_folded": folded(metadata.name),
        "git_info": dumps(metadata.git_info),
        **changing_columns(metadata, usage),
    }


def changed_columns(changes: Changes) -> dict[str, object]:
    """Return the columns of `threads` that changes of metadata set."""
    columns: dict[str, object] = {}
    if changes.name is not None:
        columns |= {"name": dumps(changes.name or None), "name_folded": folded(changes.name)}
    if changes.archived is not None:
        columns["archived"] = changes.archived
    if changes.git_info is not None:
        columns["git_info"] = dumps(changes.git_info or None)
    return columns


def metadata_in(row: Row) -> ThreadMetadata:
    """Read THREAD_COLUMNS."""
    created_at, updated_at, archived, name, git_info, text = row
    column = cast(MetadataColumn, loads(text))
    return ThreadMetadata(
        id=column["id"],
        created_at=created_at,
        updated_at=updated_at,
        provider=column["provider"],
        model=column["model"],
        effort=column.get("effort"),
        cwd=column["cwd"],
        originator=column["originator"],
        version=column["version"],
        preview=column.get("preview", ""),
        name=loads(name),
        forked_from=column.get("forked_from"),
        thread_source=column.get("thread_source"),
        git_info=loads(git_info),
        archived=bool(archived),
        unknown={name: value for name, value in column.items() if name not in MetadataColumn.__annotations__},
    )


def settings_text(settings: ThreadSettings) -> str:
    """Return the column `settings`."""
    known = settings._asdict()
    del known["unknown"]
    return dumps({**settings.unknown, **known})


def settings_in(text: str) -> ThreadSettings:
    """Read the column `settings`."""
    column = loads(text)
    known = {name: column.pop(name) for name in ThreadSettings._fields if name in column}
    return ThreadSettings(**known)._replace(unknown=column)


def usage_in(text: str) -> TokenUsage:
    """Read the column `usage`. What an earlier version did not count is 0."""
    return {**NO_USAGE, **loads(text)}


def turn_row(turn: TurnRecord) -> Row:
    """Return TURN_COLUMNS."""
    return turn.id, turn.status, dumps(turn.error), turn.started_at, turn.completed_at, turn.duration_ms


def turn_in(row: Row) -> TurnRecord:
    """Read TURN_COLUMNS."""
    turn_id, status, error, started_at, completed_at, duration_ms = row
    return TurnRecord(
        input=[],
        id=turn_id,
        status=status,
        error=loads(error),
        started_at=started_at,
        completed_at=completed_at,
        duration_ms=duration_ms,
    )


def entry_row(entry: Entry) -> Row:
    """Return ENTRY_COLUMNS."""
    same = entry.remembered is not None and entry.remembered == model_item(entry.item)
    remembered = SAME if same else _dumped(entry.remembered)
    return _dumped(entry.item), remembered, entry.forgets, entry.completed_at


def entry_in(row: Row) -> Entry:
    """Read ENTRY_COLUMNS."""
    item, remembered, forgets, completed_at = row
    shown = _loaded(item)
    sent = None if remembered is None else _sent(shown, remembered)
    return Entry(shown, sent, bool(forgets), completed_at)


def items_in(texts: Sequence[str], view: ItemsView) -> list[Item]:
    """Read the columns `item` of a turn, as far as a view shows them.

    For a summary, from both ends as far as needed: most turns have many items.
    """
    if view == "full":
        return [loads(text) for text in texts]
    first = _first_of("userMessage", texts)
    last = _first_of("agentMessage", reversed(texts))
    return [item for item in (first, last) if item is not None]


def _first_of(kind: str, texts: Iterable[str]) -> Item | None:
    return next((item for item in map(loads, texts) if item.get("type") == kind), None)


def remembered_in(item: str | None, remembered: str) -> dict[str, Any] | None:
    """Read what the model is sent, from the columns `item` and `remembered`. None: only a newer version knows."""
    return _sent(_loaded(item) if remembered == SAME else None, remembered)


def _sent(item: Any, remembered: str) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    try:
        sent = model_item(item) if remembered == SAME else loads(remembered)
    except (KeyError, TypeError):
        return None  # an item of another shape
    return sent if isinstance(sent, dict) else None


def _dumped(value: object) -> str | None:
    return None if value is None else dumps(value)


def _loaded(text: str | None) -> Any:  # noqa: ANN401 - JSON
    return None if text is None else loads(text)
