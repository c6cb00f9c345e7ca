"""What comes of a turn: a result, or an error that has what there is of it all the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from appserver.client import types
from appserver.client.schemas import read_output
from appserver.errors import AppServerError

if TYPE_CHECKING:
    from appserver.client.wire import Notification

T = TypeVar("T", default=None)


@dataclass(frozen=True)
class TurnResult(Generic[T]):
    """What has come of a turn. Times are Unix seconds, the duration is in milliseconds.

    final_response: what the model said last; None if it said nothing. output: that as the type that was asked for.
    items: what was completed, in order. usage: tokens of the thread and of its last request, if the backend told.
    """

    id: str
    status: types.TurnStatus
    final_response: str | None
    output: T
    error: types.TurnError | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    items: list[types.Item] = field(default_factory=list)
    usage: types.ThreadTokenUsage | None = None


class TurnFailed(AppServerError):
    """A turn has failed. `result` is what there is of it all the same."""

    def __init__(self, message: str, result: TurnResult[Any]) -> None:
        super().__init__(message)
        self.result = result

    @property
    def error(self) -> types.TurnError | None:
        """What the server says of it."""
        return self.result.error

    @property
    def info(self) -> str | dict[str, Any] | None:
        """The protocol's codexErrorInfo, for a program to decide by."""
        return self.result.error.codex_error_info if self.result.error else None


class TurnInterrupted(TurnFailed):
    """A turn was interrupted, by this client or another."""


class OutputInvalid(AppServerError):
    """What the model said is not of the type that was asked for. `text`: what it said."""

    def __init__(self, message: str, text: str | None) -> None:
        super().__init__(message)
        self.text = text


class Collected:
    """What a turn's notifications add up to."""

    def __init__(self) -> None:
        self._items: list[types.Item] = []
        self._usage: types.ThreadTokenUsage | None = None
        self._turn: types.Turn | None = None

    def take(self, note: Notification) -> None:
        match note:
            case types.ItemCompletedNotification(item=item):
                self._items.append(item)
            case types.ThreadTokenUsageUpdatedNotification(token_usage=usage):
                self._usage = usage
            case types.TurnCompletedNotification(turn=turn):
                self._turn = turn

    def result(self, output_type: type[T] | None) -> TurnResult[T]:
        """Return the result. Raises TurnFailed, TurnInterrupted, OutputInvalid."""
        plain = self._plain()
        if plain.status == "interrupted":
            raise TurnInterrupted("The turn was interrupted", plain)
        if plain.status != "completed":
            raise TurnFailed(plain.error.message if plain.error else "The turn has failed", plain)
        if output_type is None:
            return plain  # type: ignore[return-value] # then T is None
        try:
            output = read_output(output_type, plain.final_response or "")
        except ValueError as exc:
            wrong = f"The model's output is no {getattr(output_type, '__name__', output_type)}: {exc}"
            raise OutputInvalid(wrong, plain.final_response) from None
        return TurnResult(**{**vars(plain), "output": output})

    def _plain(self) -> TurnResult:
        turn = self._turn
        assert turn is not None  # noqa: S101 - the last notification has been taken
        times = {"started_at": turn.started_at, "completed_at": turn.completed_at, "duration_ms": turn.duration_ms}
        said = _final_response(self._items)
        return TurnResult(turn.id, turn.status, said, None, turn.error, **times, items=self._items, usage=self._usage)


def _final_response(items: list[types.Item]) -> str | None:
    """Return the last message that is marked as the final answer, else the last one that is not marked."""
    messages = [one for one in items if isinstance(one, types.AgentMessageItem)]
    final = [one.text for one in messages if one.phase == "final_answer"]
    unmarked = [one.text for one in messages if one.phase is None]
    return next(reversed(final or unmarked), None)
