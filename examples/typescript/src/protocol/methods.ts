// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { AppListParams, BackgroundTerminalsListParams, CollaborationModeListResult, ConfigRequirementsReadResult, EmptyPage, EmptyResult, ExperimentalFeatureListParams, GoalGetParams, GoalGetResult, HooksListParams, HooksListResult, McpServerStatusListParams, ModelProviderCapabilitiesReadResult, NoParams, PermissionProfileListParams, PluginInstalledParams, PluginInstalledResult, PluginListParams, PluginListResult, SkillsExtraRootsSetParams, SkillsListParams, SkillsListResult } from "./absent.js";
import type { AccountReadParams, AccountReadResult, AccountUpdatedNotification, AuthTokensRefreshParams, AuthTokensRefreshResult, GetAuthStatusParams, GetAuthStatusResult, LoginCancelParams, LoginCancelResult, LoginCompletedNotification, LoginParams, LoginResult, LogoutParams, LogoutResult } from "./account.js";
import type { ConfigReadParams, ConfigReadResult, ConfigWarningNotification } from "./config.js";
import type { ServerDiagnosticsParams, ServerDiagnosticsResult } from "./diagnostics.js";
import type { InitializeParams, InitializeResult } from "./handshake.js";
import type { AgentMessageDeltaNotification, ItemCompletedNotification, ItemStartedNotification, ReasoningSummaryPartAddedNotification, ReasoningSummaryTextDeltaNotification, ReasoningTextDeltaNotification } from "./item.js";
import type { ModelListParams, ModelListResult } from "./model.js";
import type { ThreadSettingsUpdateParams, ThreadSettingsUpdatedNotification } from "./settings.js";
import type { ThreadStartParams, ThreadStartResult, ThreadStartedNotification, ThreadStatusChangedNotification, ThreadTokenUsageUpdatedNotification, WarningNotification } from "./thread.js";
import type { ThreadForkParams, ThreadIdNotification, ThreadIdParams, ThreadInjectItemsParams, ThreadLifeEmptyResult, ThreadMetadataUpdateParams, ThreadNameSetParams, ThreadNameUpdatedNotification, ThreadResult, ThreadResumeParams, ThreadResumeResult, ThreadRevertParams, ThreadRevertResult, ThreadRollbackParams, ThreadUnsubscribeResult } from "./thread_life.js";
import type { ThreadItemsListParams, ThreadItemsListResult, ThreadListParams, ThreadListResult, ThreadLoadedListParams, ThreadLoadedListResult, ThreadReadParams, ThreadReadResult, ThreadTurnsListParams, TurnsPage } from "./thread_list.js";
import type { DynamicToolCallParams, DynamicToolCallResult } from "./tool.js";
import type { ErrorNotification, TurnCompletedNotification, TurnInterruptParams, TurnInterruptResult, TurnStartParams, TurnStartResult, TurnStartedNotification, TurnSteerParams, TurnSteerResult } from "./turn.js";
import type { RateLimitsReadParams, RateLimitsReadResult, RateLimitsUpdatedNotification, UsageReadParams, UsageReadResult } from "./usage.js";

/** The id of a request. */
export type RequestId = string | number;

/** A request of the client. */
export type ClientRequest =
  | { method: "initialize"; id: RequestId; params: InitializeParams }
  | { method: "account/read"; id: RequestId; params: AccountReadParams }
  | { method: "account/login/start"; id: RequestId; params: LoginParams }
  | { method: "account/login/cancel"; id: RequestId; params: LoginCancelParams }
  | { method: "account/logout"; id: RequestId; params: LogoutParams }
  | { method: "account/rateLimits/read"; id: RequestId; params: RateLimitsReadParams }
  | { method: "account/usage/read"; id: RequestId; params: UsageReadParams }
  | { method: "getAuthStatus"; id: RequestId; params: GetAuthStatusParams }
  | { method: "model/list"; id: RequestId; params: ModelListParams }
  | { method: "config/read"; id: RequestId; params: ConfigReadParams }
  | { method: "server/diagnostics"; id: RequestId; params: ServerDiagnosticsParams }
  | { method: "thread/start"; id: RequestId; params: ThreadStartParams }
  | { method: "thread/resume"; id: RequestId; params: ThreadResumeParams }
  | { method: "thread/fork"; id: RequestId; params: ThreadForkParams }
  | { method: "thread/read"; id: RequestId; params: ThreadReadParams }
  | { method: "thread/list"; id: RequestId; params: ThreadListParams }
  | { method: "thread/loaded/list"; id: RequestId; params: ThreadLoadedListParams }
  | { method: "thread/turns/list"; id: RequestId; params: ThreadTurnsListParams }
  | { method: "thread/items/list"; id: RequestId; params: ThreadItemsListParams }
  | { method: "thread/name/set"; id: RequestId; params: ThreadNameSetParams }
  | { method: "thread/metadata/update"; id: RequestId; params: ThreadMetadataUpdateParams }
  | { method: "thread/archive"; id: RequestId; params: ThreadIdParams }
  | { method: "thread/unarchive"; id: RequestId; params: ThreadIdParams }
  | { method: "thread/delete"; id: RequestId; params: ThreadIdParams }
  | { method: "thread/unsubscribe"; id: RequestId; params: ThreadIdParams }
  | { method: "thread/inject_items"; id: RequestId; params: ThreadInjectItemsParams }
  | { method: "thread/revert"; id: RequestId; params: ThreadRevertParams }
  | { method: "thread/rollback"; id: RequestId; params: ThreadRollbackParams }
  | { method: "thread/settings/update"; id: RequestId; params: ThreadSettingsUpdateParams }
  | { method: "thread/compact/start"; id: RequestId; params: ThreadIdParams }
  | { method: "turn/start"; id: RequestId; params: TurnStartParams }
  | { method: "turn/steer"; id: RequestId; params: TurnSteerParams }
  | { method: "turn/interrupt"; id: RequestId; params: TurnInterruptParams }
  | { method: "app/list"; id: RequestId; params: AppListParams }
  | { method: "collaborationMode/list"; id: RequestId; params: NoParams }
  | { method: "config/mcpServer/reload"; id: RequestId; params?: undefined }
  | { method: "configRequirements/read"; id: RequestId; params?: undefined }
  | { method: "experimentalFeature/list"; id: RequestId; params: ExperimentalFeatureListParams }
  | { method: "hooks/list"; id: RequestId; params: HooksListParams }
  | { method: "mcpServerStatus/list"; id: RequestId; params: McpServerStatusListParams }
  | { method: "modelProvider/capabilities/read"; id: RequestId; params: NoParams }
  | { method: "permissionProfile/list"; id: RequestId; params: PermissionProfileListParams }
  | { method: "plugin/installed"; id: RequestId; params: PluginInstalledParams }
  | { method: "plugin/list"; id: RequestId; params: PluginListParams }
  | { method: "skills/extraRoots/set"; id: RequestId; params: SkillsExtraRootsSetParams }
  | { method: "skills/list"; id: RequestId; params: SkillsListParams }
  | { method: "thread/backgroundTerminals/list"; id: RequestId; params: BackgroundTerminalsListParams }
  | { method: "thread/goal/get"; id: RequestId; params: GoalGetParams };

/** A notification of the client. */
export type ClientNotification =
  | { method: "initialized"; params?: undefined };

/** A request of the server. */
export type ServerRequest =
  | { method: "account/chatgptAuthTokens/refresh"; id: RequestId; params: AuthTokensRefreshParams }
  | { method: "item/tool/call"; id: RequestId; params: DynamicToolCallParams };

/** A notification of the server. */
export type ServerNotification =
  | { method: "account/login/completed"; params: LoginCompletedNotification }
  | { method: "account/rateLimits/updated"; params: RateLimitsUpdatedNotification }
  | { method: "account/updated"; params: AccountUpdatedNotification }
  | { method: "configWarning"; params: ConfigWarningNotification }
  | { method: "error"; params: ErrorNotification }
  | { method: "item/agentMessage/delta"; params: AgentMessageDeltaNotification }
  | { method: "item/completed"; params: ItemCompletedNotification }
  | { method: "item/reasoning/summaryPartAdded"; params: ReasoningSummaryPartAddedNotification }
  | { method: "item/reasoning/summaryTextDelta"; params: ReasoningSummaryTextDeltaNotification }
  | { method: "item/reasoning/textDelta"; params: ReasoningTextDeltaNotification }
  | { method: "item/started"; params: ItemStartedNotification }
  | { method: "thread/archived"; params: ThreadIdNotification }
  | { method: "thread/closed"; params: ThreadIdNotification }
  | { method: "thread/deleted"; params: ThreadIdNotification }
  | { method: "thread/name/updated"; params: ThreadNameUpdatedNotification }
  | { method: "thread/reverted"; params: ThreadIdNotification }
  | { method: "thread/settings/updated"; params: ThreadSettingsUpdatedNotification }
  | { method: "thread/started"; params: ThreadStartedNotification }
  | { method: "thread/status/changed"; params: ThreadStatusChangedNotification }
  | { method: "thread/tokenUsage/updated"; params: ThreadTokenUsageUpdatedNotification }
  | { method: "thread/unarchived"; params: ThreadIdNotification }
  | { method: "turn/completed"; params: TurnCompletedNotification }
  | { method: "turn/started"; params: TurnStartedNotification }
  | { method: "warning"; params: WarningNotification };

/** What the server answers, by method. */
export type ClientRequestResults = {
  "initialize": InitializeResult;
  "account/read": AccountReadResult;
  "account/login/start": LoginResult;
  "account/login/cancel": LoginCancelResult;
  "account/logout": LogoutResult;
  "account/rateLimits/read": RateLimitsReadResult;
  "account/usage/read": UsageReadResult;
  "getAuthStatus": GetAuthStatusResult;
  "model/list": ModelListResult;
  "config/read": ConfigReadResult;
  "server/diagnostics": ServerDiagnosticsResult;
  "thread/start": ThreadStartResult;
  "thread/resume": ThreadResumeResult;
  "thread/fork": ThreadStartResult;
  "thread/read": ThreadReadResult;
  "thread/list": ThreadListResult;
  "thread/loaded/list": ThreadLoadedListResult;
  "thread/turns/list": TurnsPage;
  "thread/items/list": ThreadItemsListResult;
  "thread/name/set": ThreadLifeEmptyResult;
  "thread/metadata/update": ThreadResult;
  "thread/archive": ThreadLifeEmptyResult;
  "thread/unarchive": ThreadResult;
  "thread/delete": ThreadLifeEmptyResult;
  "thread/unsubscribe": ThreadUnsubscribeResult;
  "thread/inject_items": ThreadLifeEmptyResult;
  "thread/revert": ThreadRevertResult;
  "thread/rollback": ThreadResult;
  "thread/settings/update": ThreadLifeEmptyResult;
  "thread/compact/start": ThreadLifeEmptyResult;
  "turn/start": TurnStartResult;
  "turn/steer": TurnSteerResult;
  "turn/interrupt": TurnInterruptResult;
  "app/list": EmptyPage;
  "collaborationMode/list": CollaborationModeListResult;
  "config/mcpServer/reload": EmptyResult;
  "configRequirements/read": ConfigRequirementsReadResult;
  "experimentalFeature/list": EmptyPage;
  "hooks/list": HooksListResult;
  "mcpServerStatus/list": EmptyPage;
  "modelProvider/capabilities/read": ModelProviderCapabilitiesReadResult;
  "permissionProfile/list": EmptyPage;
  "plugin/installed": PluginInstalledResult;
  "plugin/list": PluginListResult;
  "skills/extraRoots/set": EmptyResult;
  "skills/list": SkillsListResult;
  "thread/backgroundTerminals/list": EmptyPage;
  "thread/goal/get": GoalGetResult;
};

/** What the client answers, by method. */
export type ServerRequestResults = {
  "account/chatgptAuthTokens/refresh": AuthTokensRefreshResult;
  "item/tool/call": DynamicToolCallResult;
};
