"""Rows of threads.db: how records become columns, and columns records. Knows the schema; runs no statement.

What is not compared by the database is JSON, in ASCII: that takes any text that a client may send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver import json_text
from appserver.threads.metadata import ThreadFacts
from appserver.threads.model_items import model_item
from appserver.threads.record import NO_USAGE
from appserver.threads.stores.base import folded, plain
from appserver.threads.transcript import Entry
from appserver.threads.turn_record import TurnRecord

if TYPE_CHECKING:
    from appserver.threads.record import ThreadRecord
    from protocol.thread import TokenUsage

Row = tuple[Any, ...]

dumps = json_text.encode
loads = json_text.decode_stored

FACTS = (
    "id",
    "provider",
    "model",
    "effort",
    "cwd",
    "originator",
    "version",
    "preview",
    "forked_from",
    "thread_source",
)
"""The members of ThreadFacts that stand in the column `facts`."""

THREAD_COLUMNS = "created_at, updated_at, archived, name, git_info, facts"
TURN_COLUMNS = "id, status, error, started_at, completed_at, duration_ms"
AS_TOLD = "true"
"""In the column `remembered`: what follows from the column `item`. A long text or an image is not written twice."""

ENTRY_COLUMNS = "item, remembered, forgets, completed_at"


def changing(thread: ThreadRecord) -> dict[str, object]:
    """Return the columns of `threads` that may change while turns run."""
    facts = thread.facts()
    return {
        "cwd": plain(thread.cwd),
        "provider": plain(thread.provider.id),
        "preview_folded": folded(thread.preview),
        "facts": dumps({**facts.unknown, **{name: getattr(facts, name) for name in FACTS}}),
        "usage": dumps(thread.usage),
    }


def thread_row(thread: ThreadRecord, touched: int, *, listed: bool) -> dict[str, object]:
    """Return the columns of `threads` for a new one."""
    return {
        "id": thread.id,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "touched": touched,
        "listed": listed,
        "name": dumps(thread.name),
        "name_folded": folded(thread.name),
        "git_info": dumps(thread.git_info),
        **changing(thread),
    }


def facts_in(row: Row) -> ThreadFacts:
    """Read THREAD_COLUMNS."""
    created_at, updated_at, archived, name, git_info, facts = row
    written = loads(facts)
    return ThreadFacts(
        created_at=created_at,
        updated_at=updated_at,
        archived=bool(archived),
        name=loads(name),
        git_info=loads(git_info),
        unknown={name: value for name, value in written.items() if name not in FACTS},
        **{name: written[name] for name in FACTS if name in written},
    )


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
    as_told = entry.remembered is not None and entry.remembered == model_item(entry.item)
    remembered = AS_TOLD if as_told else _dumped(entry.remembered)
    return _dumped(entry.item), remembered, entry.forgets, entry.completed_at


def entry_in(row: Row) -> Entry:
    """Read ENTRY_COLUMNS."""
    item, remembered, forgets, completed_at = row
    shown = _loaded(item)
    sent = None if remembered is None else _sent(shown, remembered)
    return Entry(shown, sent, bool(forgets), completed_at)


def remembered_in(item: str | None, remembered: str) -> dict[str, Any] | None:
    """Read what the model is sent, from the columns `item` and `remembered`. None: only a newer version knows."""
    return _sent(_loaded(item) if remembered == AS_TOLD else None, remembered)


def _sent(item: Any, remembered: str) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    try:
        sent = model_item(item) if remembered == AS_TOLD else loads(remembered)
    except (KeyError, TypeError):
        return None  # an item of another shape
    return sent if isinstance(sent, dict) else None


def _dumped(value: object) -> str | None:
    return None if value is None else dumps(value)


def _loaded(text: str | None) -> Any:  # noqa: ANN401 - JSON
    return None if text is None else loads(text)
