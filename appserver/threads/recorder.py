"""What writes the history of a loaded thread: the Protocol, and the recorder of a thread that lives in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item


class Recorder(Protocol):
    """Writes what happens in a thread, as it happens. What has been written survives the process.

    What is written while a turn runs may have to wait for another process. Such a wait has a bound and is shielded from
    cancellation: what the model has said is not lost with an interrupt.
    """

    def start_turn(self, turn: TurnRecord) -> None:
        """Write a new turn. Raises RequestError if another process runs one, ThreadStoreError if it cannot be written.

        Does not wait: raises ThreadStoreBusy where it would have to.
        """

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn, and what it adds to the history; either may be missing."""

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended. Raises nothing: the client is told of the end of a turn in any case."""

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time, as soon as that is possible."""

    def change_settings(self) -> None:
        """Write the settings of the thread. Raises ThreadStoreError, ThreadStoreBusy where it would wait."""

    def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history while no turn runs. Raises as `start_turn` does."""

    def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left.

        Raises as `start_turn` does, and RequestError for a turn that is not there.
        """


class NullRecorder:
    """Writes nothing: the recorder of a thread that lives in memory only."""

    def start_turn(self, turn: TurnRecord) -> None:
        """Write a new turn."""

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn."""

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended."""

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time."""

    def change_settings(self) -> None:
        """Write the settings of the thread."""

    def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history."""

    def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it: all."""
        return []
