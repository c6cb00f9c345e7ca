// Generated from protocol/ by `appserver generate-ts`. Do not edit.

/** The embedding application. `name` becomes the originator of what is sent upstream. */
export type ClientInfo = {
  name: string;
  title?: string | null;
  version: string;
};

export type ClientCapabilities = {
  experimentalApi?: boolean;
  optOutNotificationMethods?: Array<string> | null;
};

export type InitializeParams = {
  clientInfo: ClientInfo;
  capabilities?: ClientCapabilities | null;
};

export type InitializeResult = {
  userAgent: string;
  codexHome: string;
  platformFamily: string;
  platformOs: string;
};
