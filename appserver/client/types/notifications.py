"""What the server tells: a class for each method.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import ClassVar

from appserver.client.types.account import AuthMode
from appserver.client.types.config import TextRange
from appserver.client.types.item import Item
from appserver.client.types.settings import ThreadSettings
from appserver.client.types.thread import Thread, ThreadStatus, ThreadTokenUsage
from appserver.client.types.turn import Turn, TurnError
from appserver.client.types.usage import RateLimitSnapshot
from appserver.client.wire import Notification


@dataclass(frozen=True)
class LoginCompletedNotification(Notification):
    """How a login ended. Comes exactly once for each login_id; login_id is null where the login had none."""

    method: ClassVar[str] = "account/login/completed"
    login_id: str | None
    success: bool
    error: str | None


@dataclass(frozen=True)
class RateLimitsUpdatedNotification(Notification):
    """The limits as the backend's latest answer told them."""

    method: ClassVar[str] = "account/rateLimits/updated"
    rate_limits: RateLimitSnapshot


@dataclass(frozen=True)
class AccountUpdatedNotification(Notification):
    """The account that is in use has changed. auth_mode is null when nobody is signed in."""

    method: ClassVar[str] = "account/updated"
    auth_mode: AuthMode | None
    plan_type: str | None


@dataclass(frozen=True)
class ConfigWarningNotification(Notification):
    """Something in the configuration is not used: why, and where in which file if it is in one."""

    method: ClassVar[str] = "configWarning"
    summary: str
    details: str | None
    path: str | None = None
    range: TextRange | None = None


@dataclass(frozen=True)
class ErrorNotification(Notification):
    """A turn met an error; will_retry tells whether it goes on."""

    method: ClassVar[str] = "error"
    error: TurnError
    will_retry: bool
    thread_id: str
    turn_id: str


@dataclass(frozen=True)
class AgentMessageDeltaNotification(Notification):
    method: ClassVar[str] = "item/agentMessage/delta"
    thread_id: str
    turn_id: str
    item_id: str
    delta: str


@dataclass(frozen=True)
class ItemCompletedNotification(Notification):
    """An item is whole; completed_at_ms is Unix time in milliseconds."""

    method: ClassVar[str] = "item/completed"
    item: Item
    thread_id: str
    turn_id: str
    completed_at_ms: int


@dataclass(frozen=True)
class ReasoningSummaryPartAddedNotification(Notification):
    method: ClassVar[str] = "item/reasoning/summaryPartAdded"
    thread_id: str
    turn_id: str
    item_id: str
    summary_index: int


@dataclass(frozen=True)
class ReasoningSummaryTextDeltaNotification(Notification):
    method: ClassVar[str] = "item/reasoning/summaryTextDelta"
    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    summary_index: int


@dataclass(frozen=True)
class ReasoningTextDeltaNotification(Notification):
    """More raw text of a reasoning item."""

    method: ClassVar[str] = "item/reasoning/textDelta"
    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    content_index: int


@dataclass(frozen=True)
class ItemStartedNotification(Notification):
    """An item has begun; started_at_ms is Unix time in milliseconds."""

    method: ClassVar[str] = "item/started"
    item: Item
    thread_id: str
    turn_id: str
    started_at_ms: int


@dataclass(frozen=True)
class ThreadArchivedNotification(Notification):
    method: ClassVar[str] = "thread/archived"
    thread_id: str


@dataclass(frozen=True)
class ThreadClosedNotification(Notification):
    method: ClassVar[str] = "thread/closed"
    thread_id: str


@dataclass(frozen=True)
class ThreadDeletedNotification(Notification):
    method: ClassVar[str] = "thread/deleted"
    thread_id: str


@dataclass(frozen=True)
class ThreadNameUpdatedNotification(Notification):
    """A thread has another name, or none."""

    method: ClassVar[str] = "thread/name/updated"
    thread_id: str
    thread_name: str | None


@dataclass(frozen=True)
class ThreadRevertedNotification(Notification):
    method: ClassVar[str] = "thread/reverted"
    thread_id: str


@dataclass(frozen=True)
class ThreadSettingsUpdatedNotification(Notification):
    method: ClassVar[str] = "thread/settings/updated"
    thread_id: str
    thread_settings: ThreadSettings


@dataclass(frozen=True)
class ThreadStartedNotification(Notification):
    method: ClassVar[str] = "thread/started"
    thread: Thread


@dataclass(frozen=True)
class ThreadStatusChangedNotification(Notification):
    """A thread became active, idle, or idle after an error."""

    method: ClassVar[str] = "thread/status/changed"
    thread_id: str
    status: ThreadStatus


@dataclass(frozen=True)
class ThreadTokenUsageUpdatedNotification(Notification):
    """The model told what a request used."""

    method: ClassVar[str] = "thread/tokenUsage/updated"
    thread_id: str
    turn_id: str
    token_usage: ThreadTokenUsage


@dataclass(frozen=True)
class ThreadUnarchivedNotification(Notification):
    method: ClassVar[str] = "thread/unarchived"
    thread_id: str


@dataclass(frozen=True)
class TurnCompletedNotification(Notification):
    """A turn has ended. Comes exactly once for each turn, on every path."""

    method: ClassVar[str] = "turn/completed"
    thread_id: str
    turn: Turn


@dataclass(frozen=True)
class TurnStartedNotification(Notification):
    method: ClassVar[str] = "turn/started"
    thread_id: str
    turn: Turn


@dataclass(frozen=True)
class WarningNotification(Notification):
    """Something that was asked for a thread is not done as it was asked."""

    method: ClassVar[str] = "warning"
    thread_id: str | None
    message: str


KNOWN: tuple[type[Notification], ...] = (
    LoginCompletedNotification,
    RateLimitsUpdatedNotification,
    AccountUpdatedNotification,
    ConfigWarningNotification,
    ErrorNotification,
    AgentMessageDeltaNotification,
    ItemCompletedNotification,
    ReasoningSummaryPartAddedNotification,
    ReasoningSummaryTextDeltaNotification,
    ReasoningTextDeltaNotification,
    ItemStartedNotification,
    ThreadArchivedNotification,
    ThreadClosedNotification,
    ThreadDeletedNotification,
    ThreadNameUpdatedNotification,
    ThreadRevertedNotification,
    ThreadSettingsUpdatedNotification,
    ThreadStartedNotification,
    ThreadStatusChangedNotification,
    ThreadTokenUsageUpdatedNotification,
    ThreadUnarchivedNotification,
    TurnCompletedNotification,
    TurnStartedNotification,
    WarningNotification,
)
"""The class of every notification in the method table."""
