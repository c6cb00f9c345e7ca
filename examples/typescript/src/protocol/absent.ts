// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";
import type { ModeKind } from "./settings.js";

/** An object without members. */
export type NoParams = Record<string, never>;

/** It is done. */
export type EmptyResult = Record<string, never>;

/** A page of a list that is always empty. */
export type EmptyPage = {
  data: Array<JsonValue>;
  nextCursor: null;
};

/** Which apps: those of a thread, if one is named. */
export type AppListParams = {
  cursor?: string | null;
  limit?: number | null;
  forceRefetch?: boolean;
  threadId?: string | null;
};

/** Which MCP servers, and how much of each. */
export type McpServerStatusListParams = {
  cursor?: string | null;
  limit?: number | null;
  detail?: "full" | "toolsAndAuthOnly" | null;
  serverName?: string | null;
  threadId?: string | null;
};

/** Which features: as a thread has them, if one is named. */
export type ExperimentalFeatureListParams = {
  cursor?: string | null;
  limit?: number | null;
  threadId?: string | null;
};

/** Which profiles: those of a working directory, if one is named. */
export type PermissionProfileListParams = {
  cursor?: string | null;
  limit?: number | null;
  cwd?: string | null;
};

export type BackgroundTerminalsListParams = {
  cursor?: string | null;
  limit?: number | null;
  threadId: string;
};

export type GoalGetParams = {
  threadId: string;
};

/** A thread has no goal here. */
export type GoalGetResult = {
  goal: null;
};

/** A mode that `thread/settings/update` takes. model, reasoning_effort: what it sets, if anything. */
export type CollaborationModePreset = {
  name: string;
  mode: ModeKind;
  model: string | null;
  reasoning_effort: string | null;
};

export type CollaborationModeListResult = {
  data: Array<CollaborationModePreset>;
};

/** The skills of which working directories; of the server's own if none is named. */
export type SkillsListParams = {
  cwds?: Array<string>;
  forceReload?: boolean;
};

/** The skills of a working directory: none are offered. */
export type SkillsListEntry = {
  cwd: string;
  skills: Array<JsonValue>;
  errors: Array<JsonValue>;
};

/** One entry for each working directory. */
export type SkillsListResult = {
  data: Array<SkillsListEntry>;
};

/** More directories to look for skills in. */
export type SkillsExtraRootsSetParams = {
  extraRoots: Array<string>;
};

/** The hooks of which working directories; of the server's own if none is named. */
export type HooksListParams = {
  cwds?: Array<string>;
};

/** The hooks of a working directory: none are run. */
export type HooksListEntry = {
  cwd: string;
  hooks: Array<JsonValue>;
  warnings: Array<string>;
  errors: Array<JsonValue>;
};

/** One entry for each working directory. */
export type HooksListResult = {
  data: Array<HooksListEntry>;
};

/** Which marketplaces to look in. */
export type PluginListParams = {
  cwds?: Array<string> | null;
  forceRefetch?: boolean;
  marketplaceKinds?: Array<string> | null;
};

export type PluginListResult = {
  marketplaces: Array<JsonValue>;
  marketplaceLoadErrors: Array<JsonValue>;
  featuredPluginIds: Array<string>;
};

/** Which marketplaces to look in, and which plugins to list beside the installed ones. */
export type PluginInstalledParams = {
  cwds?: Array<string> | null;
  installSuggestionPluginNames?: Array<string> | null;
};

export type PluginInstalledResult = {
  marketplaces: Array<JsonValue>;
  marketplaceLoadErrors: Array<JsonValue>;
};

/** What an administrator requires of the configuration: nothing. */
export type ConfigRequirementsReadResult = {
  requirements: null;
};

/** Which of the provider's own tools the model may use. */
export type ModelProviderCapabilitiesReadResult = {
  imageGeneration: boolean;
  webSearch: boolean;
};
