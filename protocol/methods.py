"""THE table: every method and notification, its params, its result, and who sends it."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocol import account, handshake, item, model, thread, tool, turn


class Method(NamedTuple):
    """A request: the type of its params (None: it takes none) and of its result."""

    params: Any
    result: Any


CLIENT_REQUESTS: dict[str, Method] = {
    "initialize": Method(handshake.InitializeParams, handshake.InitializeResult),
    "account/read": Method(account.AccountReadParams, account.AccountReadResult),
    "account/login/start": Method(account.LoginParams, account.LoginResult),
    "account/login/cancel": Method(account.LoginCancelParams, account.LoginCancelResult),
    "account/logout": Method(account.LogoutParams, account.LogoutResult),
    "account/rateLimits/read": Method(None, account.RateLimitsReadResult),
    "getAuthStatus": Method(account.GetAuthStatusParams, account.GetAuthStatusResult),
    "model/list": Method(model.ModelListParams, model.ModelListResult),
    "thread/start": Method(thread.ThreadStartParams, thread.ThreadStartResult),
    "turn/start": Method(turn.TurnStartParams, turn.TurnStartResult),
    "turn/steer": Method(turn.TurnSteerParams, turn.TurnSteerResult),
    "turn/interrupt": Method(turn.TurnInterruptParams, turn.TurnInterruptResult),
}

CLIENT_NOTIFICATIONS: dict[str, Any] = {"initialized": None}

SERVER_REQUESTS: dict[str, Method] = {
    "account/chatgptAuthTokens/refresh": Method(account.AuthTokensRefreshParams, account.AuthTokensRefreshResult),
    "item/tool/call": Method(tool.DynamicToolCallParams, tool.DynamicToolCallResult),
}

SERVER_NOTIFICATIONS: dict[str, Any] = {
    "account/login/completed": account.LoginCompletedNotification,
    "account/rateLimits/updated": account.RateLimitsUpdatedNotification,
    "account/updated": account.AccountUpdatedNotification,
    "error": turn.ErrorNotification,
    "item/agentMessage/delta": item.AgentMessageDeltaNotification,
    "item/completed": item.ItemCompletedNotification,
    "item/reasoning/summaryPartAdded": item.ReasoningSummaryPartAddedNotification,
    "item/reasoning/summaryTextDelta": item.ReasoningSummaryTextDeltaNotification,
    "item/reasoning/textDelta": item.ReasoningTextDeltaNotification,
    "item/started": item.ItemStartedNotification,
    "thread/started": thread.ThreadStartedNotification,
    "thread/status/changed": thread.ThreadStatusChangedNotification,
    "thread/tokenUsage/updated": thread.ThreadTokenUsageUpdatedNotification,
    "turn/completed": turn.TurnCompletedNotification,
    "turn/started": turn.TurnStartedNotification,
}
