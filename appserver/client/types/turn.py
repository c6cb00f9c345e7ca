"""Classes of protocol/turn.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Any, Literal

from appserver.client.types.item import Item
from appserver.client.wire import Data

TurnStatus = Literal["inProgress", "completed", "interrupted", "failed"]


ItemsView = Literal["notLoaded", "summary", "full"]
"""How much of a turn's items is shown: none, the first message and the final one, or all."""


CodexErrorInfo = str | dict[str, Any]
"""An open enum: a name such as "usageLimitExceeded", or an object with one key that carries details."""


@dataclass(frozen=True)
class TurnError(Data):
    """Why a turn failed: words for a person, codex_error_info for a program.

    resets_at (Unix seconds) comes with usageLimitExceeded, where the backend tells it. kind tells a program why
    the turn could not be written down, such as "threadStoreBusy".
    """

    message: str
    codex_error_info: str | dict[str, Any] | None
    additional_details: str | None
    resets_at: int | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Turn(Data):
    """One turn. Times are Unix seconds, the duration is in milliseconds."""

    id: str
    items: list[Item]
    items_view: ItemsView
    status: TurnStatus
    error: TurnError | None
    started_at: int | None
    completed_at: int | None
    duration_ms: int | None


@dataclass(frozen=True)
class ContextEntry(Data):
    """Something that the model should know beside the user's words. untrusted: its author is not known."""

    kind: Literal["untrusted", "application"]
    value: str


@dataclass(frozen=True)
class TurnStartResult(Data):
    """The turn as it begins, or the running one that the input has been added to."""

    turn: Turn


@dataclass(frozen=True)
class TurnSteerResult(Data):
    """The turn that takes the input at its next safe point."""

    turn_id: str


@dataclass(frozen=True)
class TurnInterruptResult(Data):
    """The turn is ending; `turn/completed` follows."""
