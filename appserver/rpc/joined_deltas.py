"""Deltas of one item that are sent as one: `outbox.py` joins them where the client does not keep up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.envelope import Message

ENVELOPE_BYTES = 200
"""About how many bytes of a delta's line are not its text."""


class JoinedDelta:
    """A delta in the queue, and those that have been joined to it."""

    def __init__(self, first: Message) -> None:
        self._first = first
        self._pieces: list[str] = [first["params"]["delta"]]
        self._finished = False
        self.size = len(self._pieces[0]) + ENVELOPE_BYTES
        """About how many bytes it adds to the queue."""

    def takes(self, message: Message) -> bool:
        """Whether a delta continues this one: of the same kind, for the same place."""
        mine, other = self._first["params"], message["params"]
        return bool(
            not self._finished
            and message["method"] == self._first["method"]
            and mine.keys() == other.keys()
            and all(name == "delta" or mine[name] == other[name] for name in mine)
        )

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.size += len(piece)

    def finish(self) -> Message:
        """Return one notification with the text of all. No further delta can be joined."""
        self._finished = True
        return {**self._first, "params": {**self._first["params"], "delta": "".join(self._pieces)}}


def params_of_delta(message: Message) -> dict[str, Any] | None:
    """Return the params of a notification that adds text to an item of a thread; None: it is something else."""
    params = message.get("params")
    if "id" in message or not isinstance(params, dict):
        return None
    told = params.get("delta"), params.get("threadId"), params.get("itemId")
    return params if all(isinstance(one, str) for one in told) else None
