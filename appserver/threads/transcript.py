"""The transcript of a thread: turns, their entries, and what the model is sent of them. Pure but for the clock.

An entry is what one finished item left: the item as clients see it, the input item that the model is sent for it, or
only one of the two.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item

CUT_OFF = "aborted"
"""The output of a tool call that has none. The backend refuses a request with a call without an output."""

_OUTPUT_OF = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


class Entry(NamedTuple):
    """What a finished item left. `forgets`: the model is sent nothing of the entries before this one."""

    item: Item | None
    remembered: dict[str, Any] | None
    forgets: bool
    completed_at: float


@dataclass(slots=True)
class StoredTurn:
    """A turn of a transcript, with its entries. The items of the record are those of the entries."""

    turn: TurnRecord
    entries: list[Entry] = field(default_factory=list)


class Cut(NamedTuple):
    """Where a transcript is to end: with a turn, or before one. Neither: where it does."""

    last: str | None = None
    before: str | None = None

    @property
    def turn(self) -> str | None:
        """The turn that is named. Raises RequestError if two are."""
        if self.last and self.before:
            raise RequestError("lastTurnId and beforeTurnId cannot be combined")
        return self.last or self.before

    def check(self, status: str | None) -> None:
        """Refuse a turn that is not there (None), and one to end with that goes on. Raises RequestError."""
        if status is None:
            raise RequestError(f"turn not found: {self.turn}", {"kind": "turnNotFound"})
        if self.last and status == "inProgress":
            raise RequestError(f"turn {self.last} is in progress", {"kind": "turnInProgress"})


def cut_off(transcript: list[StoredTurn], cut: Cut) -> list[StoredTurn]:
    """Return the turns of a transcript up to a cut. Raises RequestError."""
    if cut.turn is None:
        return transcript
    place = next((number for number, one in enumerate(transcript) if one.turn.id == cut.turn), None)
    cut.check(None if place is None else transcript[place].turn.status)
    return transcript[:place] if cut.before else transcript[: (place or 0) + 1]


def interrupted(transcript: list[StoredTurn]) -> list[StoredTurn]:
    """End the turns that are copies of running ones: they go on in the original."""
    for one in transcript:
        if one.turn.status == "inProgress":
            one.turn.status, one.turn.completed_at = "interrupted", time.time()
    return transcript


def history_of(transcript: Iterable[StoredTurn], first: Iterable[Entry] = ()) -> list[dict[str, Any]]:
    """Return the input items that the next request begins with. `first`: the entries before the first turn."""
    found: list[dict[str, Any]] = []
    for entry in chain(first, *(turn.entries for turn in transcript)):
        if entry.forgets:
            found.clear()
        if entry.remembered is not None:
            found.append(entry.remembered)
    return found


def with_all_outputs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each tool call an output: a turn that was cut off may have left calls without one."""
    answered = {one.get("call_id") for one in history if one.get("type") in _OUTPUT_OF.values()}
    whole: list[dict[str, Any]] = []
    for one in history:
        whole.append(one)
        kind = _OUTPUT_OF.get(one.get("type", ""))
        if kind is not None and one.get("call_id") not in answered:
            whole.append({"type": kind, "call_id": one.get("call_id"), "output": CUT_OFF})
    return whole
