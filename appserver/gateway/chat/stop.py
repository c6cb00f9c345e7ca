"""Stop sequences, which the Responses API does not have: finds the first one in a text that comes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopSequences:
    """Lets through what stands before the first stop sequence.

    A piece is held back as long as it may be the beginning of one, and no longer.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self.found = False
        self._sequences = sequences
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece and return what can be passed on by now."""
        text = self._held + piece
        positions = [at for sequence in self._sequences if (at := text.find(sequence)) >= 0]
        if positions:
            self.found, self._held = True, ""
            return text[: min(positions)]
        self._held = text[len(text) - self._suspicious(text) :]
        return text[: len(text) - len(self._held)]

    def flush(self) -> str:
        """Return what was held back: there is no more to come."""
        held, self._held = self._held, ""
        return held

    def _suspicious(self, text: str) -> int:
        """Return the length of the longest end of a text that a stop sequence begins with."""
        for length in range(min(len(text), max(map(len, self._sequences)) - 1), 0, -1):
            if any(sequence.startswith(text[-length:]) for sequence in self._sequences):
                return length
        return 0
