// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "./settings.js";
import type { DynamicTool } from "./tool.js";
import type { Turn } from "./turn.js";

/** The thread is not in memory. */
export type NotLoadedStatus = {
  type: "notLoaded";
};

/** No turn is running. */
export type IdleStatus = {
  type: "idle";
};

/** The last turn failed; another can be started. */
export type SystemErrorStatus = {
  type: "systemError";
};

/** A turn is running. */
export type ActiveStatus = {
  type: "active";
  activeFlags: Array<string>;
};

export type ThreadStatus = NotLoadedStatus | IdleStatus | SystemErrorStatus | ActiveStatus;

/**
 * A conversation. Times are Unix seconds, recencyAt that of the last change as updatedAt is.
 *
 * path, projectId and parentThreadId are null: a thread is a row of a database, not a file, in no project, and no
 * other thread's helper. historyMode is always paginated: turns and items can be listed. threadSource: what the client
 * said of where the thread comes from. cliVersion: the version of the protocol.
 */
export type Thread = {
  id: string;
  sessionId: string;
  forkedFromId: string | null;
  parentThreadId: string | null;
  preview: string;
  ephemeral: boolean;
  modelProvider: string;
  model: string | null;
  reasoningEffort: string | null;
  createdAt: number;
  updatedAt: number;
  recencyAt: number;
  historyMode: "paginated";
  status: ThreadStatus;
  path: string | null;
  cwd: string;
  cliVersion: string;
  originator: string;
  source: string;
  threadSource: string | null;
  gitInfo: { [key: string]: JsonValue } | null;
  projectId: string | null;
  name: string | null;
  turns: Array<Turn>;
};

/** Start a thread. What is left out comes from config.toml. */
export type ThreadStartParams = {
  config?: { [key: string]: JsonValue } | null;
  model?: string | null;
  modelProvider?: string | null;
  cwd?: string | null;
  baseInstructions?: string | null;
  developerInstructions?: string | null;
  serviceTier?: string | null;
  approvalPolicy?: ApprovalPolicy | null;
  approvalsReviewer?: string | null;
  sandbox?: SandboxMode | null;
  ephemeral?: boolean | null;
  threadSource?: string | null;
  dynamicTools?: Array<DynamicTool> | null;
};

/**
 * The thread and what is in force for it. Approvals and sandbox are those that were asked for.
 *
 * instructionSources is empty: no files of instructions are looked for. runtimeWorkspaceRoots: the working directory.
 */
export type ThreadStartResult = {
  thread: Thread;
  model: string;
  modelProvider: string;
  serviceTier: string | null;
  cwd: string;
  approvalPolicy: ApprovalPolicy;
  approvalsReviewer: string;
  sandbox: SandboxPolicy;
  reasoningEffort: string | null;
  instructionSources: Array<string>;
  runtimeWorkspaceRoots: Array<string>;
};

export type ThreadStartedNotification = {
  thread: Thread;
};

/** Something that was asked for a thread is not done as it was asked. */
export type WarningNotification = {
  threadId: string | null;
  message: string;
};

/** A thread became active, idle, or idle after an error. */
export type ThreadStatusChangedNotification = {
  threadId: string;
  status: ThreadStatus;
};

/** Tokens of one request, or of a thread so far. */
export type TokenUsage = {
  totalTokens: number;
  inputTokens: number;
  cachedInputTokens: number;
  cacheWriteInputTokens: number;
  outputTokens: number;
  reasoningOutputTokens: number;
};

/** Tokens of the whole thread and of its last request. */
export type ThreadTokenUsage = {
  total: TokenUsage;
  last: TokenUsage;
  modelContextWindow: number | null;
};

/** The model told what a request used. */
export type ThreadTokenUsageUpdatedNotification = {
  threadId: string;
  turnId: string;
  tokenUsage: ThreadTokenUsage;
};
