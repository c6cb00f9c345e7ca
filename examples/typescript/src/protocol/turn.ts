// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { Item, UserInput } from "./item.js";
import type { JsonValue } from "./json.js";
import type { ApprovalPolicy, CollaborationMode, ReasoningSummary, SandboxPolicy } from "./settings.js";

export type TurnStatus = "inProgress" | "completed" | "interrupted" | "failed";

/** How much of a turn's items is shown: none, the first message and the final one, or all. */
export type ItemsView = "notLoaded" | "summary" | "full";

/** An open enum: a name such as "usageLimitExceeded", or an object with one key that carries details. */
export type CodexErrorInfo = string | { [key: string]: JsonValue };

/**
 * Why a turn failed: words for a person, codexErrorInfo for a program.
 *
 * resetsAt (Unix seconds) comes with usageLimitExceeded, where the backend tells it. kind tells a program why the
 * turn could not be written down, such as "threadStoreBusy".
 */
export type TurnError = {
  message: string;
  codexErrorInfo: string | { [key: string]: JsonValue } | null;
  additionalDetails: string | null;
  resetsAt?: number;
  kind?: string;
};

/** One turn. Times are Unix seconds, the duration is in milliseconds. */
export type Turn = {
  id: string;
  items: Array<Item>;
  itemsView: ItemsView;
  status: TurnStatus;
  error: TurnError | null;
  startedAt: number | null;
  completedAt: number | null;
  durationMs: number | null;
};

/** Something that the model should know beside the user's words. untrusted: its author is not known. */
export type ContextEntry = {
  kind: "untrusted" | "application";
  value: string;
};

/**
 * Start a turn with the user's input, or add the input to the one that runs.
 *
 * What it puts in force holds for this turn and those after it; where a turn runs already, for those after that one.
 * outputSchema and serviceTierForTurn hold for one turn. personality selects nothing any more and is taken so that
 * clients which still send it are understood.
 */
export type TurnStartParams = {
  model?: string | null;
  effort?: string | null;
  summary?: ReasoningSummary | null;
  serviceTier?: string | null;
  cwd?: string | null;
  collaborationMode?: CollaborationMode | null;
  approvalPolicy?: ApprovalPolicy | null;
  approvalsReviewer?: string | null;
  sandboxPolicy?: SandboxPolicy | null;
  threadId: string;
  input: Array<UserInput>;
  clientUserMessageId?: string | null;
  additionalContext?: { [key: string]: ContextEntry } | null;
  serviceTierForTurn?: string | null;
  personality?: string | null;
  outputSchema?: JsonValue;
};

/** The turn as it begins, or the running one that the input has been added to. */
export type TurnStartResult = {
  turn: Turn;
};

/** Add input to the running turn, which must be the expected one. */
export type TurnSteerParams = {
  threadId: string;
  expectedTurnId: string;
  input: Array<UserInput>;
  clientUserMessageId?: string | null;
  additionalContext?: { [key: string]: ContextEntry } | null;
};

/** The turn that takes the input at its next safe point. */
export type TurnSteerResult = {
  turnId: string;
};

/** Which turn to end. An empty turnId: the one that runs. */
export type TurnInterruptParams = {
  threadId: string;
  turnId: string;
};

/** The turn is ending; `turn/completed` follows. */
export type TurnInterruptResult = Record<string, never>;

export type TurnStartedNotification = {
  threadId: string;
  turn: Turn;
};

/** A turn has ended. Comes exactly once for each turn, on every path. */
export type TurnCompletedNotification = {
  threadId: string;
  turn: Turn;
};

/** A turn met an error; willRetry tells whether it goes on. */
export type ErrorNotification = {
  error: TurnError;
  willRetry: boolean;
  threadId: string;
  turnId: string;
};
