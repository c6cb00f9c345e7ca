"""The transcript of a thread: finished turns, their entries, and what the model is sent of them. Pure.

An entry is what one finished item left: the item as clients see it, the input item that the model is sent for it, or
only one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appserver.turns.state import TurnRecord
    from protocol.item import Item

CUT_OFF = "aborted"
"""The output of a tool call whose turn ended before it did. The backend refuses a call without an output."""

_OUTPUT_OF = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


class Entry(NamedTuple):
    """What a finished item left. `forgets`: the model is sent nothing of what came before."""

    item: Item | None
    remembered: dict[str, Any] | None
    forgets: bool
    completed_at: float


@dataclass(slots=True)
class PastTurn:
    """A turn with its entries. The items of the record are those of the entries."""

    turn: TurnRecord
    entries: list[Entry] = field(default_factory=list)


def history_of(past: Iterable[PastTurn]) -> list[dict[str, Any]]:
    """Return the input items that the next request begins with."""
    found: list[dict[str, Any]] = []
    for turn in past:
        for entry in turn.entries:
            if entry.forgets:
                found.clear()
            if entry.remembered is not None:
                found.append(entry.remembered)
    return with_all_outputs(found)


def with_all_outputs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each tool call an output: a turn that was cut off may have left calls without."""
    answered = {one.get("call_id") for one in history if one.get("type") in _OUTPUT_OF.values()}
    whole: list[dict[str, Any]] = []
    for one in history:
        whole.append(one)
        kind = _OUTPUT_OF.get(one.get("type", ""))
        if kind is not None and one.get("call_id") not in answered:
            whole.append({"type": kind, "call_id": one.get("call_id"), "output": CUT_OFF})
    return whole
