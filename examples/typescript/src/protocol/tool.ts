// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";

/**
 * A function that the model may call. `type` may be left out.
 *
 * inputSchema: JSON Schema of its arguments. namespace: puts the function under a common name, as NamespaceTool does.
 * deferLoading changes nothing.
 */
export type FunctionTool = {
  type: "function";
  name: string;
  description: string;
  inputSchema: { [key: string]: JsonValue };
  namespace?: string | null;
  deferLoading?: boolean;
};

/** Functions under a common name. */
export type NamespaceTool = {
  type: "namespace";
  name: string;
  description: string;
  tools: Array<(Omit<FunctionTool, "type"> & { type?: "function" })>;
};

export type DynamicTool = (Omit<FunctionTool, "type"> & { type?: "function" }) | NamespaceTool;

export type ToolText = {
  type: "inputText";
  text: string;
};

/** An image for the model, by URL (https: or data:). */
export type ToolImage = {
  type: "inputImage";
  imageUrl: string;
};

/** Sound for the model, by URL (https: or data:). */
export type ToolAudio = {
  type: "inputAudio";
  audioUrl: string;
};

export type ToolContent = ToolText | ToolImage | ToolAudio;

/** Call a tool of the client's; arguments are what the model wrote, as JSON. */
export type DynamicToolCallParams = {
  threadId: string;
  turnId: string;
  callId: string;
  namespace: string | null;
  tool: string;
  arguments: JsonValue;
};

/** What the tool gave. The model reads contentItems, also where success is false. */
export type DynamicToolCallResult = {
  contentItems: Array<ToolContent>;
  success: boolean;
};
