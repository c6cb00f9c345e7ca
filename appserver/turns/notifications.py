"""What a client is told of a turn beside its items: usage, rate limits, and that the backend is asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from appserver.llm.limits import limits_in_headers
from appserver.telemetry import NO_TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.errors import BackendError
    from appserver.llm.retry import Retries
    from appserver.telemetry import Telemetry
    from appserver.threads.record import ThreadRecord
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item
    from protocol.notify import Notify
    from protocol.thread import ThreadTokenUsage, TokenUsage
    from protocol.turn import TurnError

CONTEXT_WINDOW: int | None = None
"""Unknown: the backend does not tell it, and a wrong number misleads more than none."""


class TurnPlace(TypedDict):
    """The members of a notification that say which turn it is about."""

    threadId: str
    turnId: str


class PartPlace(TurnPlace):
    """The members of a notification about a part of an item."""

    itemId: str


class ItemPlace(TurnPlace):
    """The members of a notification about a whole item."""

    item: Item


@dataclass(frozen=True, slots=True)
class TurnNotifications:
    """Notifies clients of one turn."""

    thread: ThreadRecord
    turn: TurnRecord
    emit: Notify
    telemetry: Telemetry = NO_TELEMETRY

    @property
    def place(self) -> TurnPlace:
        """Which turn it is about."""
        return {"threadId": self.thread.id, "turnId": self.turn.id}

    def usage(self, usage: TokenUsage | None) -> None:
        """Count and tell the tokens of an answer, if it told them."""
        if usage is None:
            return
        self.thread.add_usage(usage)
        self.telemetry.used(usage)
        told: ThreadTokenUsage = {
            "total": self.thread.usage,
            "last": usage,
            "modelContextWindow": CONTEXT_WINDOW,
        }
        self.emit("thread/tokenUsage/updated", {**self.place, "tokenUsage": told})

    def limits(self, headers: Mapping[str, str]) -> None:
        """Tell the rate limits that stand in an answer's headers, if there are any."""
        limits = limits_in_headers(headers)
        if limits is not None:
            self.emit("account/rateLimits/updated", {"rateLimits": limits})

    def reconnecting(self, failure: BackendError, retries: Retries) -> None:
        """Tell that the backend is asked again.

        An item that has been started and not completed by now will not be: the next answer starts its own.
        """
        error: TurnError = {
            "message": f"Reconnecting... {retries.made}/{retries.limit}",
            "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": failure.status}},
            "additionalDetails": failure.message,
        }
        self.emit("error", {"error": error, "willRetry": True, **self.place})
