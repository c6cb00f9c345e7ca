"""`codex-gateway` from PyPI, unmodified: an OpenAI-compatible HTTP server that starts our command.

It gives a chat's earlier messages to a new thread as history.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from appserver.testing import text
from tests.peer import WAIT_SECONDS
from tests.ports import free_port
from tests.real_clients.launch import CODEX_GATEWAY, executable, installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

TOKEN = "codex-gateway-local-test"
POLL_SECONDS = 0.05

CHAT: dict[str, Any] = {
    "model": "gpt-5.5",
    "messages": [
        {"role": "system", "content": "Answer briefly"},
        {"role": "user", "content": "My name is Ada"},
        {"role": "assistant", "content": "Hello Ada"},
        {"role": "user", "content": "What is my name?"},
    ],
}


@pytest.fixture
def environ(tmp_path: Path, home: Path, backend: FakeBackend) -> dict[str, str]:
    """Its command is `codex`, looked up in PATH; the key is in the home, as after `codex login`."""
    (home / "auth.json").write_text('{"OPENAI_API_KEY": "sk-test-key"}')
    executable(tmp_path)
    return {**os.environ, **backend.environ(home), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


@asynccontextmanager
async def gateway(environ: dict[str, str], cwd: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Start it on a free port, and connect to it once it serves."""
    port = free_port()
    command = [installed(CODEX_GATEWAY), "--port", str(port), "--token", TOKEN, "--cwd", str(cwd)]
    async with await anyio.open_process(command, env=environ, stdout=None, stderr=None) as process:
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=WAIT_SECONDS) as client:
                await _serving(client)
                yield client
        finally:
            process.terminate()


async def _serving(client: httpx.AsyncClient) -> None:
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            try:
                await client.get("/healthz")
            except httpx.ConnectError:
                await anyio.sleep(POLL_SECONDS)  # another program's port: nothing tells when it is open
            else:
                return


async def test_it_answers_a_chat_with_history(environ: dict[str, str], tmp_path: Path, backend: FakeBackend) -> None:
    backend.script(text("Ada"))
    async with gateway(environ, tmp_path) as client:
        answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Ada"
    sent = backend.requests[-1].json()
    said = [(item["role"], item["content"][0]["text"]) for item in sent["input"] if item.get("role") != "developer"]
    assert said == [("user", "My name is Ada"), ("assistant", "Hello Ada"), ("user", "What is my name?")]
    assert "Answer briefly" in str(sent)


async def test_it_streams_a_chat_with_history(environ: dict[str, str], tmp_path: Path, backend: FakeBackend) -> None:
    backend.script(text("A", "da"))
    async with gateway(environ, tmp_path) as client:
        answer = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert answer.status_code == 200
    assert '"content":"A"' in answer.text.replace(" ", "")
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert "My name is Ada" in backend.requests[-1].body.decode()


async def test_it_lists_the_models(environ: dict[str, str], tmp_path: Path) -> None:
    async with gateway(environ, tmp_path) as client:
        answer = await client.get("/v1/models")
    assert answer.status_code == 200
    assert all(model["id"] for model in answer.json()["data"])
