"""Turns: starting and interrupting one, and the notifications about it."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.item import Item, UserInput

TurnStatus = Literal["inProgress", "completed", "interrupted", "failed"]

ItemsView = Literal["notLoaded", "summary", "full"]
"""How much of a turn's items is shown: none, the first message and the final one, or all."""

CodexErrorInfo = str | dict[str, Any]
"""An open enum: a name such as "usageLimitExceeded", or an object with one key that carries facts."""


class TurnError(TypedDict):
    """Why a turn failed: words for a person, codexErrorInfo for a program."""

    message: str
    codexErrorInfo: CodexErrorInfo | None
    additionalDetails: str | None


class Turn(TypedDict):
    """One turn. Times are Unix seconds, the duration is in milliseconds."""

    id: str
    items: list[Item]
    itemsView: ItemsView
    status: TurnStatus
    error: TurnError | None
    startedAt: int | None
    completedAt: int | None
    durationMs: int | None


class TurnStartParams(TypedDict):
    """Start a turn with the user's input. The overrides hold for this turn and those after it; outputSchema for one."""

    threadId: str
    input: list[UserInput]
    clientUserMessageId: NotRequired[str | None]
    model: NotRequired[str | None]
    effort: NotRequired[str | None]
    summary: NotRequired[str | None]
    outputSchema: NotRequired[Any]


class TurnStartResult(TypedDict):
    """The turn as it begins."""

    turn: Turn


class TurnInterruptParams(TypedDict):
    """Which turn to end."""

    threadId: str
    turnId: str


class TurnInterruptResult(TypedDict):
    """The turn is ending; `turn/completed` follows."""


class TurnStartedNotification(TypedDict):
    """A turn has begun."""

    threadId: str
    turn: Turn


class TurnCompletedNotification(TypedDict):
    """A turn has ended. Comes exactly once for each turn, on every path."""

    threadId: str
    turn: Turn


class ErrorNotification(TypedDict):
    """A turn met an error; willRetry tells whether it goes on."""

    error: TurnError
    willRetry: bool
    threadId: str
    turnId: str
