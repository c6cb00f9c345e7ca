"""What writes the history of a loaded thread: the Protocol, and the recorder of a thread that lives in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from appserver.errors import ThreadStoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item

T = TypeVar("T")

CHANGE_SECONDS = 60.0
"""What a store gets for a change, which is shielded from the cancellation of its request. The store in threads.db has a
bound of its own, which is shorter."""


class Recorder(Protocol):
    """Writes what happens in a thread, as it happens. What has been written survives the process.

    A write may wait for another process. Such a wait has a bound and is shielded from cancellation: what the model has
    said is not lost with an interrupt. All methods but `end_turn` and `flush` raise ThreadStoreError.
    """

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        """Write a new turn with its first entries and the settings from then on, and take over what other processes
        have done to the thread. Raises RequestError if one of them runs a turn in it.
        """

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn, and what it adds to the history; either may be missing."""

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended. Raises nothing: the client is told of the end of a turn in any case."""

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time, as soon as that is possible."""

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        """Write changed settings: what lists show of them is in the metadata."""

    async def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history while no turn runs. Raises as `start_turn` does."""

    async def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it while no turn runs, and return the history that is left.

        Raises as `start_turn` does, and RequestError for a turn that is not there.
        """


class NullRecorder:
    """Writes nothing: the recorder of a thread that lives in memory only."""

    async def start_turn(
        self, turn: TurnRecord, entries: Sequence[Entry], metadata: ThreadMetadata, settings: ThreadSettings
    ) -> None:
        """Write a new turn with its first entries, and the settings from then on."""

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Write a finished item of a turn."""

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Write an item of a turn, with a summary that replaces the history so far."""

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how a turn ended."""

    async def flush(self) -> None:
        """Write the ends of turns that could not be written in time."""

    async def change_settings(self, metadata: ThreadMetadata, settings: ThreadSettings) -> None:
        """Write changed settings."""

    async def inject(self, items: list[dict[str, Any]]) -> None:
        """Write input items that a client adds to the history."""

    async def revert(self, before: str) -> list[dict[str, Any]]:
        """Forget a turn and all that came after it: all."""
        return []


async def whole(change: Awaitable[T]) -> T:
    """Let a change come to its end also if its request is cancelled, so that nothing is left half done.

    Raises what it raises, and ThreadStoreError if the store does not answer within CHANGE_SECONDS.
    """
    from anyio import move_on_after

    with move_on_after(CHANGE_SECONDS, shield=True):
        return await change
    raise ThreadStoreError("the store of threads does not answer")
