// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";
import type { ApprovalPolicy, CollaborationMode, SandboxMode, SandboxPolicy } from "./settings.js";
import type { Thread } from "./thread.js";
import type { InitialTurnsPageParams, TurnsPage } from "./thread_list.js";

/**
 * Load a thread, so that turns can be started in it. The overrides hold from now on; excludeTurns: answer without
 * the transcript.
 */
export type ThreadResumeParams = {
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
  threadId: string;
  excludeTurns?: boolean | null;
  initialTurnsPage?: InitialTurnsPageParams | null;
};

/** The thread, what is in force for it, and where its transcript ends. */
export type ThreadResumeResult = {
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
  collaborationMode: CollaborationMode;
  initialTurnsPage: TurnsPage | null;
  turnsBackwardsCursor: string | null;
  itemsBackwardsCursor: string | null;
};

/** Make a new thread of a thread's turns: all of them, those up to lastTurnId, or those before beforeTurnId. */
export type ThreadForkParams = {
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
  threadId: string;
  lastTurnId?: string | null;
  beforeTurnId?: string | null;
  ephemeral?: boolean | null;
  threadSource?: string | null;
  excludeTurns?: boolean | null;
};

export type ThreadIdParams = {
  threadId: string;
};

/** It is done. */
export type ThreadLifeEmptyResult = Record<string, never>;

/** The thread as it is now, without its turns. */
export type ThreadResult = {
  thread: Thread;
};

/** The new name; an empty one takes it away. */
export type ThreadNameSetParams = {
  threadId: string;
  name: string;
};

/** Whether the thread is loaded and was listened to. It stays loaded for a while; its turns are told no more. */
export type ThreadUnsubscribeResult = {
  status: "notLoaded" | "notSubscribed" | "unsubscribed";
};

/** What to change: null takes a value away, what is left out stays. */
export type GitInfoChanges = {
  sha?: string | null;
  branch?: string | null;
  originUrl?: string | null;
};

/** What to note about the thread's repository. */
export type ThreadMetadataUpdateParams = {
  threadId: string;
  gitInfo?: GitInfoChanges | null;
};

/** Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them. */
export type ThreadInjectItemsParams = {
  threadId: string;
  items: Array<JsonValue>;
};

/** Forget a turn of a thread and all that came after it. */
export type ThreadRevertParams = {
  threadId: string;
  beforeTurnId: string;
};

/** The thread without its turns, and where its transcript ends. */
export type ThreadRevertResult = {
  thread: Thread;
  turnsBackwardsCursor: string | null;
  itemsBackwardsCursor: string | null;
};

/** Forget so many turns at the end of a thread: the older way to revert. */
export type ThreadRollbackParams = {
  threadId: string;
  numTurns: number;
};

export type ThreadIdNotification = {
  threadId: string;
};

/** A thread has another name, or none. */
export type ThreadNameUpdatedNotification = {
  threadId: string;
  threadName: string | null;
};
