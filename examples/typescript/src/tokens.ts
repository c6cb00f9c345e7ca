// Tokens of the application. Yours come from where it keeps them.
import type { AppServer } from "./client.js";

export function accessToken(): string {
  const token = process.env.ACCESS_TOKEN;
  if (!token) throw new Error("ACCESS_TOKEN is not set");
  return token;
}

/** Sign in with the application's tokens, and have the server ask for new ones. */
export async function signIn(server: AppServer, token: () => string | Promise<string>): Promise<void> {
  server.answer("account/chatgptAuthTokens/refresh", async () => ({ accessToken: await token() }));
  await server.request("account/login/start", { type: "chatgptAuthTokens", accessToken: await token() });
}
