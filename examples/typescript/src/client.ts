// A typed client for an app-server that is a subprocess. Copy it, and src/protocol, into your application.
import { spawn, type ChildProcess } from "node:child_process";
import type {
  ClientInfo, ClientRequest, ClientRequestResults, ServerNotification, ServerRequest, ServerRequestResults, UserInput,
} from "./protocol/index.js";

type Method = keyof ClientRequestResults;
type Params<M extends Method> = Extract<ClientRequest, { method: M }>["params"];
type Question = keyof ServerRequestResults;
type Asked<Q extends Question> = Extract<ServerRequest, { method: Q }>["params"];
type Told = ServerNotification["method"];
type Telling<T extends Told> = Extract<ServerNotification, { method: T }>["params"];

/** The server answered a request with an error. */
export class ServerError extends Error {
  constructor(readonly code: number, message: string, readonly data?: unknown) {
    super(message);
    this.name = "ServerError";
  }
}

/** The server could not be started, or has ended. */
export class ServerGone extends Error {
  override name = "ServerGone";
}

export interface StartOptions {
  clientInfo: ClientInfo;
  /** The program and its arguments. */
  command?: [string, ...string[]];
  /** Variables to add to ours. */
  env?: Record<string, string>;
  cwd?: string;
}

/** What the server gets to end by itself once its input has ended, and then after SIGTERM. */
const END_MS = 10_000;
const TERMINATE_MS = 2_000;

interface Waiting {
  resolve(result: never): void;
  reject(error: Error): void;
}

export class AppServer {
  private lastId = 0;
  private readonly waiting = new Map<number, Waiting>();
  private readonly answers = new Map<string, (params: never) => unknown>();
  private readonly listeners = new Set<(told: ServerNotification) => void>();
  private readonly ended: Promise<void>;
  private gone: ServerGone | undefined;

  private constructor(private readonly process: ChildProcess) {
    this.ended = new Promise((resolve) => {
      const lose = (why: string) => {
        this.gone ??= new ServerGone(why);
        for (const one of this.waiting.values()) one.reject(this.gone);
        this.waiting.clear();
        resolve();
      };
      process.once("error", (error) => lose(`The app-server could not be started: ${error.message}`));
      process.once("close", (code, signal) => lose(`The app-server has ended (${signal ?? `exit code ${code}`})`));
    });
    process.stdin!.on("error", () => {}); // the end of the process says more
    let parts: string[] = []; // of a line whose end has not come yet
    process.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      const [first = "", ...rest] = chunk.split("\n");
      parts.push(first);
      for (const part of rest) {
        this.take(parts.join(""));
        parts = [part];
      }
    });
  }

  /** Start a server and shake hands. */
  static async start(options: StartOptions): Promise<AppServer> {
    const [program, ...args] = options.command ?? ["appserver", "app-server"];
    const server = new AppServer(
      spawn(program, args, {
        stdio: ["pipe", "pipe", "inherit"],
        env: { ...process.env, ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      }),
    );
    await server.request("initialize", { clientInfo: options.clientInfo });
    server.send({ method: "initialized" });
    return server;
  }

  /** Send a request and wait for its result. Rejects with ServerError or ServerGone. */
  request<M extends Method>(
    method: M,
    ...[params]: undefined extends Params<M> ? [params?: Params<M>] : [params: Params<M>]
  ): Promise<ClientRequestResults[M]> {
    return new Promise((resolve, reject) => {
      if (this.gone) return reject(this.gone);
      const id = ++this.lastId;
      this.waiting.set(id, { resolve, reject });
      this.send({ id, method, params });
    });
  }

  /** Answer the server's requests of a method. What is thrown becomes an error that it reads. */
  answer<Q extends Question>(
    method: Q,
    handler: (params: Asked<Q>) => ServerRequestResults[Q] | Promise<ServerRequestResults[Q]>,
  ): void {
    this.answers.set(method, handler);
  }

  /** Listen to the notifications of a method; returns what ends that. */
  on<T extends Told>(method: T, listener: (params: Telling<T>) => void): () => void {
    return this.listen((told) => {
      if (told.method === method) listener(told.params as Telling<T>);
    });
  }

  /** Listen to all notifications; returns what ends that. */
  listen(listener: (told: ServerNotification) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Run a turn and yield what is told of it; the last is turn/completed, however it ends. */
  async *turn(threadId: string, input: string | UserInput[]): AsyncGenerator<ServerNotification> {
    const items: UserInput[] = typeof input === "string" ? [{ type: "text", text: input }] : input;
    const told: ServerNotification[] = [];
    let wake = () => {};
    const end = this.listen((one) => {
      if ("threadId" in one.params && one.params.threadId === threadId) told.push(one), wake();
    });
    try {
      const { turn } = await this.request("turn/start", { threadId, input: items });
      for (;;) {
        for (const one of told.splice(0)) {
          yield one;
          if (one.method === "turn/completed" && one.params.turn.id === turn.id) return;
        }
        if (this.gone) throw this.gone;
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), this.ended]);
      }
    } finally {
      end();
    }
  }

  /** End the server: close its input, wait, terminate, kill. Each step is bounded. */
  async close(): Promise<void> {
    this.process.stdin!.end();
    if (await this.endsWithin(END_MS)) return;
    this.process.kill("SIGTERM");
    if (await this.endsWithin(TERMINATE_MS)) return;
    this.process.kill("SIGKILL");
    await this.ended;
  }

  private async endsWithin(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, milliseconds, false)));
    try {
      return await Promise.race([this.ended.then(() => true), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private send(message: object): void {
    this.process.stdin!.write(JSON.stringify(message) + "\n");
  }

  private take(line: string): void {
    const message = JSON.parse(line);
    if (message.method === undefined) this.settle(message);
    else if (message.id === undefined) for (const listener of [...this.listeners]) listener(message);
    else void this.reply(message);
  }

  private settle(message: { id: number; result?: unknown; error?: { code: number; message: string; data?: unknown } }): void {
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) waiting?.reject(new ServerError(message.error.code, message.error.message, message.error.data));
    else waiting?.resolve(message.result as never);
  }

  private async reply({ id, method, params }: { id: string | number; method: string; params: unknown }): Promise<void> {
    const handler = this.answers.get(method);
    if (!handler) return this.send({ id, error: { code: -32601, message: `Method not found: ${method}` } });
    try {
      this.send({ id, result: await handler(params as never) });
    } catch (error) {
      this.send({ id, error: { code: -32603, message: error instanceof Error ? error.message : String(error) } });
    }
  }
}
