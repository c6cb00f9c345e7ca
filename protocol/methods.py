"""THE table: every method and notification, its params, its result, and who sends it."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocol import (
    absent,
    account,
    config,
    diagnostics,
    handshake,
    item,
    model,
    settings,
    thread,
    thread_life,
    thread_list,
    tool,
    turn,
    usage,
)


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
    "account/rateLimits/read": Method(usage.RateLimitsReadParams, usage.RateLimitsReadResult),
    "account/usage/read": Method(usage.UsageReadParams, usage.UsageReadResult),
    "getAuthStatus": Method(account.GetAuthStatusParams, account.GetAuthStatusResult),
    "model/list": Method(model.ModelListParams, model.ModelListResult),
    "config/read": Method(config.ConfigReadParams, config.ConfigReadResult),
    "server/diagnostics": Method(diagnostics.ServerDiagnosticsParams, diagnostics.ServerDiagnosticsResult),
    "thread/start": Method(thread.ThreadStartParams, thread.ThreadStartResult),
    "thread/resume": Method(thread_life.ThreadResumeParams, thread_life.ThreadResumeResult),
    "thread/fork": Method(thread_life.ThreadForkParams, thread.ThreadStartResult),
    "thread/read": Method(thread_list.ThreadReadParams, thread_list.ThreadReadResult),
    "thread/list": Method(thread_list.ThreadListParams, thread_list.ThreadListResult),
    "thread/loaded/list": Method(thread_list.ThreadLoadedListParams, thread_list.ThreadLoadedListResult),
    "thread/turns/list": Method(thread_list.ThreadTurnsListParams, thread_list.TurnsPage),
    "thread/items/list": Method(thread_list.ThreadItemsListParams, thread_list.ThreadItemsListResult),
    "thread/name/set": Method(thread_life.ThreadNameSetParams, thread_life.EmptyResult),
    "thread/metadata/update": Method(thread_life.ThreadMetadataUpdateParams, thread_life.ThreadResult),
    "thread/archive": Method(thread_life.ThreadIdParams, thread_life.EmptyResult),
    "thread/unarchive": Method(thread_life.ThreadIdParams, thread_life.ThreadResult),
    "thread/delete": Method(thread_life.ThreadIdParams, thread_life.EmptyResult),
    "thread/unsubscribe": Method(thread_life.ThreadIdParams, thread_life.ThreadUnsubscribeResult),
    "thread/inject_items": Method(thread_life.ThreadInjectItemsParams, thread_life.EmptyResult),
    "thread/revert": Method(thread_life.ThreadRevertParams, thread_life.ThreadRevertResult),
    "thread/rollback": Method(thread_life.ThreadRollbackParams, thread_life.ThreadResult),
    "thread/settings/update": Method(settings.ThreadSettingsUpdateParams, thread_life.EmptyResult),
    "thread/compact/start": Method(thread_life.ThreadIdParams, thread_life.EmptyResult),
    "turn/start": Method(turn.TurnStartParams, turn.TurnStartResult),
    "turn/steer": Method(turn.TurnSteerParams, turn.TurnSteerResult),
    "turn/interrupt": Method(turn.TurnInterruptParams, turn.TurnInterruptResult),
    "app/list": Method(absent.AppListParams, absent.EmptyPage),
    "collaborationMode/list": Method(absent.NoParams, absent.CollaborationModeListResult),
    "config/mcpServer/reload": Method(None, absent.EmptyResult),
    "configRequirements/read": Method(None, absent.ConfigRequirementsReadResult),
    "experimentalFeature/list": Method(absent.ExperimentalFeatureListParams, absent.EmptyPage),
    "hooks/list": Method(absent.HooksListParams, absent.HooksListResult),
    "mcpServerStatus/list": Method(absent.McpServerStatusListParams, absent.EmptyPage),
    "modelProvider/capabilities/read": Method(absent.NoParams, absent.ModelProviderCapabilitiesReadResult),
    "permissionProfile/list": Method(absent.PermissionProfileListParams, absent.EmptyPage),
    "plugin/installed": Method(absent.PluginInstalledParams, absent.PluginInstalledResult),
    "plugin/list": Method(absent.PluginListParams, absent.PluginListResult),
    "skills/extraRoots/set": Method(absent.SkillsExtraRootsSetParams, absent.EmptyResult),
    "skills/list": Method(absent.SkillsListParams, absent.SkillsListResult),
    "thread/backgroundTerminals/list": Method(absent.BackgroundTerminalsListParams, absent.EmptyPage),
    "thread/goal/get": Method(absent.GoalGetParams, absent.GoalGetResult),
}

CLIENT_NOTIFICATIONS: dict[str, Any] = {"initialized": None}

SERVER_REQUESTS: dict[str, Method] = {
    "account/chatgptAuthTokens/refresh": Method(account.AuthTokensRefreshParams, account.AuthTokensRefreshResult),
    "item/tool/call": Method(tool.DynamicToolCallParams, tool.DynamicToolCallResult),
}

SERVER_NOTIFICATIONS: dict[str, Any] = {
    "account/login/completed": account.LoginCompletedNotification,
    "account/rateLimits/updated": usage.RateLimitsUpdatedNotification,
    "account/updated": account.AccountUpdatedNotification,
    "configWarning": config.ConfigWarningNotification,
    "error": turn.ErrorNotification,
    "item/agentMessage/delta": item.AgentMessageDeltaNotification,
    "item/completed": item.ItemCompletedNotification,
    "item/reasoning/summaryPartAdded": item.ReasoningSummaryPartAddedNotification,
    "item/reasoning/summaryTextDelta": item.ReasoningSummaryTextDeltaNotification,
    "item/reasoning/textDelta": item.ReasoningTextDeltaNotification,
    "item/started": item.ItemStartedNotification,
    "thread/archived": thread_life.ThreadIdNotification,
    "thread/closed": thread_life.ThreadIdNotification,
    "thread/deleted": thread_life.ThreadIdNotification,
    "thread/name/updated": thread_life.ThreadNameUpdatedNotification,
    "thread/reverted": thread_life.ThreadIdNotification,
    "thread/settings/updated": settings.ThreadSettingsUpdatedNotification,
    "thread/started": thread.ThreadStartedNotification,
    "thread/status/changed": thread.ThreadStatusChangedNotification,
    "thread/tokenUsage/updated": thread.ThreadTokenUsageUpdatedNotification,
    "thread/unarchived": thread_life.ThreadIdNotification,
    "turn/completed": turn.TurnCompletedNotification,
    "turn/started": turn.TurnStartedNotification,
    "warning": thread.WarningNotification,
}
