// Generated from protocol/ by `appserver generate-ts`. Do not edit.
export type * from "./json.js";
export type * from "./absent.js";
export type * from "./account.js";
export type * from "./config.js";
export type * from "./diagnostics.js";
export type * from "./handshake.js";
export type * from "./item.js";
export type * from "./model.js";
export type * from "./settings.js";
export type * from "./thread.js";
export type * from "./thread_life.js";
export type * from "./thread_list.js";
export type * from "./tool.js";
export type * from "./turn.js";
export type * from "./usage.js";
export type * from "./methods.js";
