// A VS Code extension: the server starts with the first question, and ends with the extension.
import * as vscode from "vscode";
import { AppServer } from "../client.js";
import { signIn } from "../tokens.js";

let running: Promise<AppServer> | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel("App-server");
  context.subscriptions.push(
    output,
    vscode.commands.registerCommand("appserver.ask", async () => {
      const question = await vscode.window.showInputBox({ prompt: "What do you want to know?" });
      if (question === undefined) return;
      const server = await (running ??= startServer(context));
      const { thread } = await server.request("thread/start", { cwd: folder() });
      output.show(true);
      for await (const told of server.turn(thread.id, question)) {
        if (told.method === "item/agentMessage/delta") output.append(told.params.delta);
        if (told.method === "turn/completed") output.appendLine(` (${told.params.turn.status})`);
      }
    }),
  );
}

export async function deactivate(): Promise<void> {
  const server = await running;
  running = undefined;
  await server?.close();
}

async function startServer(context: vscode.ExtensionContext): Promise<AppServer> {
  const server = await AppServer.start({ clientInfo: { name: "vscode-example", version: "1.0" } });
  await signIn(server, async () => {
    const token = await context.secrets.get("access-token"); // the editor keeps it in the keyring
    if (!token) throw new Error("Sign in first");
    return token;
  });
  return server;
}

function folder(): string | null {
  return vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? null;
}
