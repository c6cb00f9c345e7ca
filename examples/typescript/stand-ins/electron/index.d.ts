interface Event {
  preventDefault(): void;
}
interface InvokeEvent {
  readonly sender: { send(channel: string, ...args: unknown[]): void };
}
export const app: {
  whenReady(): Promise<void>;
  getVersion(): string;
  on(event: "before-quit", listener: (event: Event) => void): void;
  quit(): void;
};
export const ipcMain: {
  handle(channel: string, listener: (event: InvokeEvent, ...args: any[]) => unknown): void;
};
export const ipcRenderer: {
  on(channel: string, listener: (event: unknown, ...args: any[]) => void): void;
  removeListener(channel: string, listener: (event: unknown, ...args: any[]) => void): void;
  invoke(channel: string, ...args: unknown[]): Promise<any>;
};
export const contextBridge: { exposeInMainWorld(name: string, api: object): void };
export class BrowserWindow {
  constructor(options: { webPreferences: { preload: string; contextIsolation: boolean; sandbox: boolean } });
  loadFile(path: string): Promise<void>;
}
