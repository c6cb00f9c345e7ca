// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";

/** The older names are the reference's; clients still send them. */
export type ModeKind = "plan" | "default";

export type SandboxMode = "read-only" | "workspace-write" | "danger-full-access";

export type ReasoningSummary = "auto" | "concise" | "detailed" | "none";

/** A name such as "on-request", or an object of finer choices. */
export type ApprovalPolicy = string | { [key: string]: JsonValue };

/** Files may be read. */
export type ReadOnlySandbox = {
  type: "readOnly";
  networkAccess?: boolean;
};

/** Files of the workspace, of writableRoots and of temporary directories may be written. */
export type WorkspaceWriteSandbox = {
  type: "workspaceWrite";
  writableRoots?: Array<string>;
  networkAccess?: boolean;
  excludeTmpdirEnvVar?: boolean;
  excludeSlashTmp?: boolean;
};

/** Nothing is forbidden. */
export type FullAccessSandbox = {
  type: "dangerFullAccess";
};

/** The client provides the sandbox. */
export type ExternalSandbox = {
  type: "externalSandbox";
  networkAccess?: "restricted" | "enabled";
};

export type SandboxPolicy = ReadOnlySandbox | WorkspaceWriteSandbox | FullAccessSandbox | ExternalSandbox;

/**
 * What a collaboration mode puts in force.
 *
 * reasoning_effort: null for the model's own. developer_instructions: null for those of the mode, if it has any.
 */
export type ModeSettings = {
  model: string;
  reasoning_effort?: string | null;
  developer_instructions?: string | null;
};

/** A way to work together: planning, or as usual. */
export type CollaborationMode = {
  mode: ModeKind;
  settings: ModeSettings;
};

export type ThreadSettingsUpdateParams = {
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
};

/** What is in force for a thread. effort, summary, serviceTier: null where nothing was chosen. */
export type ThreadSettings = {
  model: string;
  modelProvider: string;
  effort: string | null;
  summary: string | null;
  serviceTier: string | null;
  cwd: string;
  collaborationMode: CollaborationMode;
  approvalPolicy: ApprovalPolicy;
  approvalsReviewer: string;
  sandboxPolicy: SandboxPolicy;
};

export type ThreadSettingsUpdatedNotification = {
  threadId: string;
  threadSettings: ThreadSettings;
};
