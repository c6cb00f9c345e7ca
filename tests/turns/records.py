"""Threads and turns for tests of the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.settings import Provider
from appserver.turns.state import ThreadRecord, TurnRecord
from appserver.turns.threads import revived

if TYPE_CHECKING:
    from appserver.turns.store import ThreadStore
    from protocol.item import AgentMessageItem
    from protocol.turn import TurnStatus

FAKE = Provider("fake", "Fake", "http://fake.example/v1")


def thread(preview: str = "", **members: Any) -> ThreadRecord:  # noqa: ANN401 - any of a record's members
    return ThreadRecord(
        **{
            "provider": FAKE,
            "model": "fake-model",
            "cwd": "/work",
            "originator": "tests",
            "version": "1",
            "instructions": "Be brief.",
            "preview": preview,
            **members,
        }
    )


def message(text: str) -> AgentMessageItem:
    return {"type": "agentMessage", "id": f"msg-{text}", "text": text, "phase": None}


def remembered(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def begin(record: ThreadRecord) -> TurnRecord:
    turn = TurnRecord([])
    record.start(turn)
    turn.begin()
    return turn


def say(record: ThreadRecord, turn: TurnRecord, *texts: str) -> None:
    for text in texts:
        record.keep(turn, message(text), remembered(text))


def end(record: ThreadRecord, turn: TurnRecord, status: TurnStatus = "completed") -> TurnRecord:
    turn.end(status, None)
    record.stop()
    return turn


def run(record: ThreadRecord, *texts: str) -> TurnRecord:
    """Run a turn in which this is said."""
    turn = begin(record)
    say(record, turn, *texts)
    return end(record, turn)


def added(store: ThreadStore, preview: str = "", *texts: str, **members: object) -> ThreadRecord:
    """Add a thread with one turn."""
    record = thread(preview, **members)
    store.add(record)
    run(record, *texts)
    return record


def loaded(store: ThreadStore, thread_id: str) -> ThreadRecord:
    """Load a thread as another process would."""
    kept = store.kept(thread_id)
    record = revived(kept.facts, kept.in_force, kept.usage, FAKE)
    store.attach(record)
    return record
