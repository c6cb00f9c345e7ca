"""Turns: starting, steering and interrupting one, and the notifications about it."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.item import Item, UserInput
from protocol.settings import Choices

TurnStatus = Literal["inProgress", "completed", "interrupted", "failed"]

ItemsView = Literal["notLoaded", "summary", "full"]
"""How much of a turn's items is shown: none, the first message and the final one, or all."""

CodexErrorInfo = str | dict[str, Any]
"""An open enum: a name such as "usageLimitExceeded", or an object with one key that carries details."""


class TurnError(TypedDict):
    """Why a turn failed: words for a person, codexErrorInfo for a program.

    resetsAt (Unix seconds) comes with usageLimitExceeded, where the backend tells it. kind tells a program why the
    turn could not be written down, such as "threadStoreBusy".
    """

    message: str
    codexErrorInfo: CodexErrorInfo | None
    additionalDetails: str | None
    resetsAt: NotRequired[int]
    kind: NotRequired[str]


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


class ContextEntry(TypedDict):
    """Something that the model should know beside the user's words. untrusted: its author is not known."""

    kind: Literal["untrusted", "application"]
    value: str


AdditionalContext = dict[str, ContextEntry]
"""Context by its source. The model is told what has changed since the message before."""


class TurnStartParams(Choices):
    """Start a turn with the user's input, or add the input to the one that runs.

    What it puts in force holds for this turn and those after it; where a turn runs already, for those after that one.
    outputSchema and serviceTierForTurn hold for one turn. personality selects nothing any more and is taken so that
    clients which still send it are understood.
    """

    threadId: str
    input: list[UserInput]
    clientUserMessageId: NotRequired[str | None]
    additionalContext: NotRequired[AdditionalContext | None]
    serviceTierForTurn: NotRequired[str | None]
    personality: NotRequired[str | None]
    outputSchema: NotRequired[Any]


class TurnStartResult(TypedDict):
    """The turn as it begins, or the running one that the input has been added to."""

    turn: Turn


class TurnSteerParams(TypedDict):
    """Add input to the running turn, which must be the expected one."""

    threadId: str
    expectedTurnId: str
    input: list[UserInput]
    clientUserMessageId: NotRequired[str | None]
    additionalContext: NotRequired[AdditionalContext | None]


class TurnSteerResult(TypedDict):
    """The turn that takes the input at its next safe point."""

    turnId: str


class TurnInterruptParams(TypedDict):
    """Which turn to end. An empty turnId: the one that runs."""

    threadId: str
    turnId: str


class TurnInterruptResult(TypedDict):
    """The turn is ending; `turn/completed` follows."""


class TurnStartedNotification(TypedDict):
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
