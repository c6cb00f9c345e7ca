// Generated from protocol/ by `appserver generate-ts`. Do not edit.

/** The embedding application. `name` becomes the originator of what is sent upstream. */
export type ClientInfo = {
  name: string;
  title?: string | null;
  version: string;
};

/** What the client opts into and out of. */
export type ClientCapabilities = {
  experimentalApi?: boolean;
  optOutNotificationMethods?: Array<string> | null;
};

/** Params of `initialize`. */
export type InitializeParams = {
  clientInfo: ClientInfo;
  capabilities?: ClientCapabilities | null;
};

/** Result of `initialize`. */
export type InitializeResult = {
  userAgent: string;
  codexHome: string;
  platformFamily: string;
  platformOs: string;
};
