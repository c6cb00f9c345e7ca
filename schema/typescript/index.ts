// Generated from protocol/ by `appserver generate-ts`. Do not edit.
export * from "./json";
export * from "./absent";
export * from "./account";
export * from "./config";
export * from "./diagnostics";
export * from "./handshake";
export * from "./item";
export * from "./model";
export * from "./settings";
export * from "./thread";
export * from "./thread_life";
export * from "./thread_list";
export * from "./tool";
export * from "./turn";
export * from "./usage";
export * from "./methods";
