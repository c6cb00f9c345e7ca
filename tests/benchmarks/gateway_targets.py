"""What the benchmark of the gateway compares: the backend itself, the gateway's nodes, and LiteLLM's proxy.

All ask the same backend with the same API key of the platform, each in processes of its own with one event loop.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio
import httpx

from appserver.testing.home import environ, write_config
from tests.benchmarks.http_load import Request
from tests.gateway.postgres import new_database, programs, running_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

KEY = "sk-benchmark"
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
QUESTION: dict[str, object] = {"model": "bench", "messages": [{"role": "user", "content": "Hello"}]}

START_SECONDS = 180.0
"""LiteLLM's proxy imports for half a minute."""


class Target(NamedTuple):
    """A server that answers, by one process or by several."""

    name: str
    requests: Sequence[Request]
    """One for each process that takes them."""
    pids: Sequence[int]
    database: Sequence[int] = ()
    """The database's process."""


def direct(url: str) -> Target:
    """Return the backend, asked without anything in between."""
    return Target("direct", [Request(url, RESPONSES, KEY, {"model": "bench", "input": "Hello"})], [])


@asynccontextmanager
async def gateway(backend: str, *, nodes: int, postgres: bool) -> AsyncIterator[Target]:
    """Run the gateway: on SQLite, or that many nodes on PostgreSQL. The key is one that the database knows."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        write_config(backend, home)
        variables = {**environ(backend, home), "OPENAI_API_KEY": KEY, "GATEWAY_SECRET_KEYS": "key-of-the-benchmark"}
        database: list[int] = []
        if postgres:
            bin_dir = programs()
            assert bin_dir is not None
            server = stack.enter_context(running_postgres(bin_dir))
            variables["GATEWAY_DATABASE_URL"] = stack.enter_context(new_database(server.url))
            database = [server.pid]
        key = await _made_key(variables)
        requests, pids = [], []
        for _ in range(nodes):
            port = _free_port()
            command = [sys.executable, "-m", "appserver", "gateway", "--port", str(port)]
            pids.append(await stack.enter_async_context(_serving(command, variables, f"http://127.0.0.1:{port}/ready")))
            requests.append(Request(f"http://127.0.0.1:{port}", CHAT, key, QUESTION))
        kind = "PostgreSQL" if postgres else "SQLite"
        yield Target(f"{nodes} on {kind}", requests, pids, database)


@asynccontextmanager
async def litellm(program: str, backend: str) -> AsyncIterator[Target]:
    """Run LiteLLM's proxy without a database: it knows one key, and logs nothing."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        params = {"model": "openai/responses/bench", "api_base": f"{backend}/v1", "api_key": KEY}
        config = {
            "model_list": [{"model_name": "bench", "litellm_params": params}],
            "general_settings": {"master_key": KEY},
            "litellm_settings": {"telemetry": False},
            "router_settings": {"disable_cooldowns": True},
        }
        path, port = Path(directory, "config.yaml"), _free_port()
        path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
        variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        command = [program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        async with _serving(command, variables, f"http://127.0.0.1:{port}/health/readiness") as pid:
            yield Target("LiteLLM", [Request(f"http://127.0.0.1:{port}", CHAT, KEY, QUESTION)], [pid])


async def _made_key(variables: Mapping[str, str]) -> str:
    """Add a user, and a key of theirs."""
    printed = b""
    for words in (["user", "add", "ada"], ["key", "add", "--user", "ada"]):
        command = [sys.executable, "-m", "appserver", "gateway", *words]
        printed = (await anyio.run_process(command, env={**os.environ, **variables}, stderr=None)).stdout
    key: str = json.loads(printed)["key"]
    return key


@asynccontextmanager
async def _serving(command: Sequence[str], variables: Mapping[str, str], ready: str) -> AsyncIterator[int]:
    """Start a process, and yield its id once the URL `ready` is answered."""
    environment, nothing = {**os.environ, **variables}, subprocess.DEVNULL
    async with await anyio.open_process(command, env=environment, stdout=nothing, stderr=nothing) as process:
        try:
            with anyio.fail_after(START_SECONDS):
                while not await _answers(ready):
                    assert process.returncode is None, command
                    await anyio.sleep(0.2)
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        with suppress(httpx.TransportError):
            return (await client.get(url)).status_code == 200
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
