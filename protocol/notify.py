"""The server's notifications for the type checker: which params belong to which method of the table.

Import it under TYPE_CHECKING. `tests/protocol/test_notify.py` compares it with `methods.SERVER_NOTIFICATIONS`.
"""

from typing import Literal, Protocol, overload

from protocol.account import AccountUpdatedNotification, LoginCompletedNotification
from protocol.config import ConfigWarningNotification
from protocol.item import (
    AgentMessageDeltaNotification,
    ItemCompletedNotification,
    ItemStartedNotification,
    ReasoningSummaryPartAddedNotification,
    ReasoningSummaryTextDeltaNotification,
    ReasoningTextDeltaNotification,
)
from protocol.settings import ThreadSettingsUpdatedNotification
from protocol.thread import (
    ThreadStartedNotification,
    ThreadStatusChangedNotification,
    ThreadTokenUsageUpdatedNotification,
    WarningNotification,
)
from protocol.thread_life import ThreadIdNotification, ThreadNameUpdatedNotification
from protocol.turn import ErrorNotification, TurnCompletedNotification, TurnStartedNotification
from protocol.usage import RateLimitsUpdatedNotification


class Notify(Protocol):
    """Sends a notification: to one client, or to several."""

    @overload
    def __call__(self, method: Literal["account/login/completed"], params: LoginCompletedNotification, /) -> None: ...
    @overload
    def __call__(
        self, method: Literal["account/rateLimits/updated"], params: RateLimitsUpdatedNotification, /
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["account/updated"], params: AccountUpdatedNotification, /) -> None: ...
    @overload
    def __call__(self, method: Literal["configWarning"], params: ConfigWarningNotification, /) -> None: ...
    @overload
    def __call__(self, method: Literal["error"], params: ErrorNotification, /) -> None: ...
    @overload
    def __call__(
        self, method: Literal["item/agentMessage/delta"], params: AgentMessageDeltaNotification, /
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["item/completed"], params: ItemCompletedNotification, /) -> None: ...
    @overload
    def __call__(
        self, method: Literal["item/reasoning/summaryPartAdded"], params: ReasoningSummaryPartAddedNotification, /
    ) -> None: ...
    @overload
    def __call__(
        self, method: Literal["item/reasoning/summaryTextDelta"], params: ReasoningSummaryTextDeltaNotification, /
    ) -> None: ...
    @overload
    def __call__(
        self, method: Literal["item/reasoning/textDelta"], params: ReasoningTextDeltaNotification, /
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["item/started"], params: ItemStartedNotification, /) -> None: ...
    @overload
    def __call__(
        self,
        method: Literal["thread/archived", "thread/closed", "thread/deleted", "thread/reverted", "thread/unarchived"],
        params: ThreadIdNotification,
        /,
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["thread/name/updated"], params: ThreadNameUpdatedNotification, /) -> None: ...
    @overload
    def __call__(
        self, method: Literal["thread/settings/updated"], params: ThreadSettingsUpdatedNotification, /
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["thread/started"], params: ThreadStartedNotification, /) -> None: ...
    @overload
    def __call__(
        self, method: Literal["thread/status/changed"], params: ThreadStatusChangedNotification, /
    ) -> None: ...
    @overload
    def __call__(
        self, method: Literal["thread/tokenUsage/updated"], params: ThreadTokenUsageUpdatedNotification, /
    ) -> None: ...
    @overload
    def __call__(self, method: Literal["turn/completed"], params: TurnCompletedNotification, /) -> None: ...
    @overload
    def __call__(self, method: Literal["turn/started"], params: TurnStartedNotification, /) -> None: ...
    @overload
    def __call__(self, method: Literal["warning"], params: WarningNotification, /) -> None: ...
