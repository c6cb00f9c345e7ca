// Generated from protocol/ by `appserver generate-ts`. Do not edit.

/** Any JSON. */
export type JsonValue = number | string | boolean | null | Array<JsonValue> | { [key: string]: JsonValue };
