// Generated from protocol/ by `appserver generate-ts`. Do not edit.

export type AuthMode = "apikey" | "chatgpt" | "chatgptAuthTokens" | "personalAccessToken";

export type ApiKeyLogin = {
  type: "apiKey";
  apiKey: string;
};

/** Sign in with a browser: OAuth authorization code with PKCE (RFC 7636). */
export type ChatgptLogin = {
  type: "chatgpt";
};

/** Sign in with a code typed on another device (RFC 8628). */
export type DeviceCodeLogin = {
  type: "chatgptDeviceCode";
};

/** Sign in with tokens that the client owns. What is missing is read from the claims of the tokens. */
export type AuthTokensLogin = {
  type: "chatgptAuthTokens";
  accessToken: string;
  idToken?: string | null;
  chatgptAccountId?: string | null;
  chatgptPlanType?: string | null;
};

export type LoginParams = ApiKeyLogin | ChatgptLogin | DeviceCodeLogin | AuthTokensLogin;

export type ApiKeyLoginResult = {
  type: "apiKey";
};

/** Open `authUrl` in a browser; `account/login/completed` tells how it went. */
export type ChatgptLoginResult = {
  type: "chatgpt";
  loginId: string;
  authUrl: string;
};

/** Show `userCode` and `verificationUrl`; `account/login/completed` tells how it went. */
export type DeviceCodeLoginResult = {
  type: "chatgptDeviceCode";
  loginId: string;
  verificationUrl: string;
  userCode: string;
};

export type AuthTokensLoginResult = {
  type: "chatgptAuthTokens";
};

export type LoginResult = ApiKeyLoginResult | ChatgptLoginResult | DeviceCodeLoginResult | AuthTokensLoginResult;

export type LoginCancelParams = {
  loginId: string;
};

/** notFound: that login has ended, or never was. */
export type LoginCancelResult = {
  status: "canceled" | "notFound";
};

/** How a login ended. Comes exactly once for each loginId; loginId is null where the login had none. */
export type LoginCompletedNotification = {
  loginId: string | null;
  success: boolean;
  error: string | null;
};

/** The account that is in use has changed. authMode is null when nobody is signed in. */
export type AccountUpdatedNotification = {
  authMode: AuthMode | null;
  planType: string | null;
};

/** refreshToken: get new tokens first, where the login is one that the server manages. */
export type AccountReadParams = {
  refreshToken?: boolean;
};

export type ApiKeyAccount = {
  type: "apiKey";
};

/** Signed in with ChatGPT, by the server or by the client's tokens. */
export type ChatgptAccount = {
  type: "chatgpt";
  email: string | null;
  planType: string | null;
};

export type Account = ApiKeyAccount | ChatgptAccount;

/** The stored login cannot be used any more, and why. */
export type NeedsLogin = {
  reason: string;
};

/** account is null when nobody is signed in. needsLogin is ours: there when the user has to sign in again. */
export type AccountReadResult = {
  account: Account | null;
  requiresOpenaiAuth: boolean;
  needsLogin?: NeedsLogin;
};

/** scope "local" (ours) ends the login here without revoking it at the issuer, where other machines may use it. */
export type LogoutParams = {
  scope?: "local" | "everywhere" | null;
};

/** Nobody is signed in now. */
export type LogoutResult = Record<string, never>;

/** The older way to ask who is signed in. */
export type GetAuthStatusParams = {
  includeToken?: boolean | null;
  refreshToken?: boolean | null;
};

/** authToken is there only where includeToken asked for it. */
export type GetAuthStatusResult = {
  authMethod: AuthMode | null;
  authToken: string | null;
  requiresOpenaiAuth: boolean | null;
};

/** What the client is told when its tokens are no longer accepted. */
export type AuthTokensRefreshParams = {
  reason: "unauthorized";
  previousAccountId: string | null;
};

/** New tokens from the client, in the same two shapes as at login. */
export type AuthTokensRefreshResult = {
  accessToken: string;
  idToken?: string | null;
  chatgptAccountId?: string | null;
  chatgptPlanType?: string | null;
};
