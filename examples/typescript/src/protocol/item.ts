// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";
import type { ToolContent } from "./tool.js";

/** Text that the user wrote. text_elements: spans that the client renders in its own way; kept as they came. */
export type TextInput = {
  type: "text";
  text: string;
  text_elements?: Array<{ [key: string]: JsonValue }>;
};

/** An image by URL (https: or data:), or by the id of a file at the backend. */
export type ImageInput = {
  type: "image";
  url?: string;
  fileId?: string;
  detail?: string | null;
};

/** An image file that the server reads. */
export type LocalImageInput = {
  type: "localImage";
  path: string;
  detail?: string | null;
};

/** Sound by URL (https: or data:). The model is told that there was some. */
export type AudioInput = {
  type: "audio";
  url: string;
};

/** A sound file. The model is told of it. */
export type LocalAudioInput = {
  type: "localAudio";
  path: string;
};

/** A skill that the user chose. The model reads its file, if it is one of the skills of the home. */
export type SkillInput = {
  type: "skill";
  name: string;
  path: string;
};

/** Something that the user pointed at: a file, an app. The model is told its name and path. */
export type MentionInput = {
  type: "mention";
  name: string;
  path: string;
};

export type UserInput = TextInput | ImageInput | LocalImageInput | AudioInput | LocalAudioInput | SkillInput | MentionInput;

export type UserMessageItem = {
  type: "userMessage";
  id: string;
  clientId: string | null;
  content: Array<UserInput>;
};

export type AgentMessageItem = {
  type: "agentMessage";
  id: string;
  text: string;
  phase: string | null;
};

/** What the model tells of its thinking: summaries, and raw content where the backend gives it. */
export type ReasoningItem = {
  type: "reasoning";
  id: string;
  summary: Array<string>;
  content: Array<string>;
};

/** From here on the model is sent a summary in place of what came before. */
export type ContextCompactionItem = {
  type: "contextCompaction";
  id: string;
};

/** A call of one of the client's tools. contentItems, success and durationMs are null while it runs. */
export type DynamicToolCallItem = {
  type: "dynamicToolCall";
  id: string;
  namespace: string | null;
  tool: string;
  arguments: JsonValue;
  status: "inProgress" | "completed" | "failed";
  contentItems: Array<ToolContent> | null;
  success: boolean | null;
  durationMs: number | null;
};

export type Item = UserMessageItem | AgentMessageItem | ReasoningItem | DynamicToolCallItem | ContextCompactionItem;

/** An item has begun; startedAtMs is Unix time in milliseconds. */
export type ItemStartedNotification = {
  item: Item;
  threadId: string;
  turnId: string;
  startedAtMs: number;
};

/** An item is whole; completedAtMs is Unix time in milliseconds. */
export type ItemCompletedNotification = {
  item: Item;
  threadId: string;
  turnId: string;
  completedAtMs: number;
};

export type AgentMessageDeltaNotification = {
  threadId: string;
  turnId: string;
  itemId: string;
  delta: string;
};

export type ReasoningSummaryPartAddedNotification = {
  threadId: string;
  turnId: string;
  itemId: string;
  summaryIndex: number;
};

export type ReasoningSummaryTextDeltaNotification = {
  threadId: string;
  turnId: string;
  itemId: string;
  delta: string;
  summaryIndex: number;
};

/** More raw text of a reasoning item. */
export type ReasoningTextDeltaNotification = {
  threadId: string;
  turnId: string;
  itemId: string;
  delta: string;
  contentIndex: number;
};
