"""The TypeScript that is generated: complete, committed, and of use to the compiler (`.ci/typescript` installs it)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS
from protocol.typescript_export import typescript, write_typescript
from tests.real_clients.launch import TYPESCRIPT, installed, node

COMMITTED = Path(__file__).parents[2] / "schema" / "typescript"

COMPILE_SECONDS = 120

CLIENT = """
import type {
  Account, ClientNotification, ClientRequest, ClientRequestResults, DynamicTool, ServerNotification, ServerRequest,
  ServerRequestResults, ThreadStatus,
} from "./index";

const requests: ClientRequest[] = [
  { method: "initialize", id: 1, params: { clientInfo: { name: "a", version: "1" } } },
  { method: "thread/start", id: "2", params: { model: null, config: { a: [1, { b: true }] } } },
  { method: "account/login/start", id: 3, params: { type: "apiKey", apiKey: "sk" } },
];
const initialized: ClientNotification = { method: "initialized" };
const plain: DynamicTool = { name: "a", description: "b", inputSchema: {} };

function told(message: ServerNotification): string {
  switch (message.method) {
    case "item/agentMessage/delta": return message.params.delta;
    case "configWarning": return `${message.params.summary} ${message.params.range?.start.line ?? 0}`;
    case "turn/completed": return message.params.turn.error?.message ?? "";
    default: return message.method;
  }
}

function flags(status: ThreadStatus): string[] {
  return status.type === "active" ? status.activeFlags : [];
}

function mail(account: Account | null): string | null {
  return account?.type === "chatgpt" ? account.email : null;
}

function answer(request: ServerRequest): ServerRequestResults["account/chatgptAuthTokens/refresh"] | null {
  return request.method === "account/chatgptAuthTokens/refresh" ? { accessToken: "token" } : null;
}

const page: ClientRequestResults["thread/list"]["nextCursor"] = null;

// @ts-expect-error - there is no such method
const wrong: ClientRequest = { method: "thread/begin", id: 1, params: {} };
// @ts-expect-error - a member that is required
const missing: ClientRequest = { method: "turn/start", id: 1, params: { threadId: "t" } };

export { answer, flags, initialized, mail, missing, page, plain, requests, told, wrong };
"""


def test_the_committed_files_are_what_the_method_table_says() -> None:
    committed = {file.name: file.read_text("utf-8") for file in COMMITTED.iterdir()}
    stale = "schema/typescript is stale: run `appserver generate-ts --out schema/typescript`"
    assert committed == typescript(), stale


def test_every_method_is_in_the_union_of_its_kind() -> None:
    text = typescript()["methods.ts"]
    for name, table in (
        ("ClientRequest", CLIENT_REQUESTS),
        ("ClientNotification", CLIENT_NOTIFICATIONS),
        ("ServerRequest", SERVER_REQUESTS),
        ("ServerNotification", SERVER_NOTIFICATIONS),
    ):
        union = text.partition(f"export type {name} =")[2].partition(";\n\n")[0]
        for method in table:
            assert f'{{ method: "{method}"' in union


def test_types_are_documented_and_names_are_used_once() -> None:
    texts = typescript()
    assert "/**\n * A function that the model may call." in texts["tool.ts"]
    assert "/** How much of a turn's items is shown" in texts["turn.ts"]
    lines = [line for name, text in texts.items() if name != "index.ts" for line in text.splitlines()]
    names = [line.split()[2] for line in lines if line.startswith("export type")]
    assert len(names) == len(set(names))


def test_the_compiler_understands_it(tmp_path: Path) -> None:
    compiler = [node(), installed(TYPESCRIPT)]
    written = write_typescript(tmp_path)
    (tmp_path / "client.ts").write_text(CLIENT, encoding="utf-8")
    options = ["--strict", "--noEmit", "--noUnusedLocals", "--exactOptionalPropertyTypes"]
    command = [*compiler, *options, *map(str, written), str(tmp_path / "client.ts")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
