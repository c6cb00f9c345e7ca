"""A turn as it runs: its notifications, steering and interrupting it, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Unpack

import anyio
from typing_extensions import TypeVar

from appserver.client import types
from appserver.client.caller import Caller
from appserver.client.inputs import wire_input
from appserver.client.options import SteerOptions
from appserver.client.results import Collected, TurnResult
from appserver.client.streams import NotificationStream, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.client.caller import Requests
    from appserver.client.inputs import Input
    from appserver.client.wire import Notification

TURN_SECONDS: Final = 600.0
"""What `run` waits unless told otherwise."""

T = TypeVar("T", default=None)


class TurnStream(NotificationStream):
    """The notifications of one turn, from before it was started. Closes itself with the last one."""

    def __init__(self, open_streams: set[NotificationStream[Any]], thread_id: str) -> None:
        super().__init__(open_streams, self._is_of_turn)
        self.thread_id = thread_id
        self.turn_id: str | None = None
        """None until the server has told it."""

        self._is_over = False

    def started(self, turn_id: str) -> None:
        """Say which turn it is. Its end may have been told already."""
        self.turn_id = turn_id
        if any(isinstance(note, Told) and self._is_last(note) for note in self._buffer):
            self.close()

    def put(self, note: Told | Notification) -> None:
        """Take a notification if it is the turn's. The reader's side."""
        super().put(note)
        if isinstance(note, Told) and self._is_last(note):
            self.close()

    async def __anext__(self) -> Notification:
        if self._is_over:
            raise StopAsyncIteration
        while _turn_id(note := await super().__anext__()) != self.turn_id:
            pass  # of the turn before, which had not ended when this one was asked for
        self._is_over = isinstance(note, types.TurnCompletedNotification)
        return note

    def _is_last(self, note: Told) -> bool:
        return note.method == "turn/completed" and self.turn_id is not None and self._is_of_turn(*note)

    def _is_of_turn(self, method: str, params: dict[str, Any]) -> bool:
        turn = params.get("turn")
        turn_id = params.get("turnId") or (turn.get("id") if isinstance(turn, dict) else None)
        return params.get("threadId") == self.thread_id and turn_id is not None and self.turn_id in (None, turn_id)


class AsyncTurn(Caller, Generic[T]):
    """A turn that has been started."""

    def __init__(
        self, requests: Requests, stream: TurnStream, thread_id: str, turn_id: str, output_type: type[T] | None
    ) -> None:
        super().__init__(requests)
        self.id = turn_id
        self.thread_id = thread_id
        self.keeps: object = None
        """What must not go away while the turn runs."""
        self._stream = stream
        self._output_type = output_type
        self._collected = Collected()

    async def stream(self) -> AsyncIterator[Notification]:
        """Yield what the server tells of the turn; the last is TurnCompletedNotification, however it ends.

        Leaving the loop early leaves the turn running: `interrupt` ends it. Raises TurnLost if the server is lost.
        """
        try:
            async for note in self._stream:
                self._collected.take(note)
                yield note
        finally:
            self._stream.close()

    async def run(self, *, timeout: float | None = TURN_SECONDS) -> TurnResult[T]:
        """Wait for the end of the turn and return its result. `timeout`: in seconds; None: as long as it takes.

        What `stream` has yielded already is part of it.

        Raises TurnFailed, TurnInterrupted, TurnLost, OutputInvalid, TimeoutError. After a timeout the turn still runs.
        """
        try:
            with anyio.fail_after(timeout):
                async for note in self._stream:
                    self._collected.take(note)
        except TimeoutError:
            raise TimeoutError(f"the turn was not completed within {timeout:g}s") from None
        finally:
            self._stream.close()
        return self._collected.result(self._output_type)

    async def steer(self, input: Input, **options: Unpack[SteerOptions]) -> None:
        """Add input to the turn. Raises ServerError if it does not run any more."""
        params = {"threadId": self.thread_id, "expectedTurnId": self.id, "input": wire_input(input)}
        await self._call("turn/steer", {**params, **self._named(SteerOptions, options)}, None)

    async def interrupt(self) -> None:
        """End the turn. Raises ServerError if it does not run any more."""
        await self._call("turn/interrupt", {"threadId": self.thread_id, "turnId": self.id}, None)


def _turn_id(note: Notification) -> str | None:
    turn = getattr(note, "turn", None)
    found = getattr(note, "turn_id", None) or getattr(turn, "id", None)
    if found is None and isinstance(note, types.UnknownNotification):
        found = note.params.get("turnId")
    return found
