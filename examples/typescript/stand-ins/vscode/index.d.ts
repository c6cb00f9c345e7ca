export interface Disposable {
  dispose(): unknown;
}
export interface OutputChannel extends Disposable {
  append(value: string): void;
  appendLine(value: string): void;
  show(preserveFocus?: boolean): void;
}
export interface ExtensionContext {
  readonly subscriptions: Disposable[];
  readonly secrets: { get(key: string): Thenable<string | undefined> };
}
export namespace commands {
  function registerCommand(command: string, callback: (...args: unknown[]) => unknown): Disposable;
}
export namespace window {
  function createOutputChannel(name: string): OutputChannel;
  function showInputBox(options?: { prompt?: string }): Thenable<string | undefined>;
}
export namespace workspace {
  const workspaceFolders: readonly { readonly uri: { readonly fsPath: string } }[] | undefined;
}
type Thenable<T> = PromiseLike<T>;
