// What a window may do: ask, and hear the answer. It sees neither the server nor a token.
import { contextBridge, ipcRenderer } from "electron";

let lastQuestion = 0;

const assistant = {
  /** Ask the model; resolves with the turn's status once it is complete. */
  async ask(text: string, onDelta: (delta: string) => void): Promise<string> {
    const question = ++lastQuestion;
    const listener = (_: unknown, its: number, delta: string) => {
      if (its === question) onDelta(delta);
    };
    ipcRenderer.on("delta", listener);
    try {
      return await ipcRenderer.invoke("ask", question, text);
    } finally {
      ipcRenderer.removeListener("delta", listener);
    }
  },
};

export type Assistant = typeof assistant;

contextBridge.exposeInMainWorld("assistant", assistant);
