"""What writes down the history of a loaded thread: the Protocol, and the journal of one that lives in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item


class Journal(Protocol):
    """Writes down what happens in a thread, as it happens. What it was told of survives the process.

    What is told while a turn runs may have to wait for another process. Such a wait has a bound and is not cancelled:
    what the model has said is not lost with an interrupt.
    """

    def turn_started(self, turn: TurnRecord) -> None:
        """Note a new turn. Raises RequestError if another process runs one, ThreadStoreError if it cannot be noted.

        Does not wait: raises ThreadStoreBusy where it would have to.
        """

    async def kept(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Note a finished item of a turn, and what it adds to the history; either may be missing."""

    async def replaced(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Note an item in whose place the history so far was replaced by a summary."""

    async def turn_ended(self, turn: TurnRecord) -> None:
        """Note how a turn ended. Raises nothing: the end of a turn is told whatever happens."""

    async def write_owed(self) -> None:
        """Write what could not be written when a turn ended, as soon as it is possible."""

    def changed(self) -> None:
        """Note what is in force for the thread now. Raises ThreadStoreError, ThreadStoreBusy where it would wait."""

    def injected(self, items: list[dict[str, Any]]) -> None:
        """Note input items that a client has added to the history while no turn runs. Raises as `turn_started` does."""

    def reverted(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left.

        Raises as `turn_started` does, and RequestError for a turn that is not there.
        """


class NoJournal:
    """The journal of a thread that lives in memory only."""

    def turn_started(self, turn: TurnRecord) -> None:
        """Note a new turn."""

    async def kept(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Note a finished item of a turn, and what it adds to the history; either may be missing."""

    async def replaced(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Note an item in whose place the history so far was replaced by a summary."""

    async def turn_ended(self, turn: TurnRecord) -> None:
        """Note how a turn ended."""

    async def write_owed(self) -> None:
        """Write what could not be written when a turn ended: nothing."""

    def changed(self) -> None:
        """Note what is in force for the thread now."""

    def injected(self, items: list[dict[str, Any]]) -> None:
        """Note input items that a client has added to the history."""

    def reverted(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it: all."""
        return []
