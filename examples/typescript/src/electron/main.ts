// The main process of an Electron application: it alone has the server and the tokens.
import { app, BrowserWindow, ipcMain } from "electron";
import { join } from "node:path";
import { AppServer } from "../client.js";
import { accessToken, signIn } from "../tokens.js";

async function start(): Promise<void> {
  await app.whenReady();
  const server = await AppServer.start({ clientInfo: { name: "electron-example", version: app.getVersion() } });
  await signIn(server, accessToken);
  const { thread } = await server.request("thread/start", {});

  // Every question of a window has a number, under which the answer comes piece by piece.
  ipcMain.handle("ask", async (event, question: number, text: string) => {
    for await (const told of server.turn(thread.id, text)) {
      if (told.method === "item/agentMessage/delta") event.sender.send("delta", question, told.params.delta);
      if (told.method === "turn/completed") return told.params.turn.status;
    }
    return "failed";
  });

  // The application does not wait for the server to end; the end of its input ends it all the same.
  let closed = false;
  app.on("before-quit", (event) => {
    if (closed) return;
    event.preventDefault();
    void server.close().finally(() => ((closed = true), app.quit()));
  });

  const window = new BrowserWindow({
    webPreferences: { preload: join(__dirname, "preload.js"), contextIsolation: true, sandbox: true },
  });
  await window.loadFile("index.html");
}

void start();
