"""A gateway on a real socket, its backend, and OpenAI's own client."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import httpx
import openai

from appserver.auth.stores.auth_json import credential_in
from appserver.gateway.database.credentials import SqlCredentials
from appserver.gateway.environment import Environment
from appserver.gateway.gateway import Gateway
from appserver.gateway.serve import listen, serving
from appserver.settings import load_settings
from protocol.base import Secret
from tests.gateway.sqlite import write_database
from tests.ports import free_port
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from anyio.abc import Process

    from appserver.auth.credentials import Credential
    from appserver.testing import FakeBackend, Grant, RecordedRequest

KEY = "sk-of-the-tests"
RESPONSES = "/v1/responses"

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak no TLS: to read all the authorities that they would trust takes longer than many a test."""

START_SECONDS = 20.0
"""What a process may take to serve, on a busy machine."""


class Running(NamedTuple):
    """A gateway that runs."""

    url: str
    client: openai.AsyncOpenAI
    http: httpx.AsyncClient
    """For what that client hides. It shows the key."""
    gateway: Gateway
    backend: FakeBackend

    async def chat(self, content: object = "Hi", **params: Any) -> Any:  # noqa: ANN401 - of many shapes, as in the client
        """Ask for a completion."""
        params.setdefault("messages", [{"role": "user", "content": content}])
        return await self.client.chat.completions.create(model="gpt-6-sol", **params)

    @property
    def asked(self) -> RecordedRequest:
        """The latest request to the model."""
        return self.backend.requests.to(RESPONSES)[-1]

    @property
    def body(self) -> dict[str, Any]:
        """Its body."""
        body: dict[str, Any] = self.asked.json()
        return body


@asynccontextmanager
async def running_gateway(
    backend: FakeBackend,
    home: Path,
    grant: Grant | None = None,
    *,
    overrides: tuple[str, ...] = (),
    **environment: Any,  # noqa: ANN401 - the members of Environment
) -> AsyncIterator[Running]:
    """Run a gateway whose one user is signed in with a grant, and with none where that is None."""
    settings = load_settings(backend.environ(home), overrides)
    if environment.get("database_url") is None:
        write_database(home)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        Gateway.running(settings, Environment(**{"api_key": Secret(KEY), "public_url": url, **environment})) as gateway,
        serving(gateway, listener),
        openai_client(url) as client,
        httpx.AsyncClient(base_url=url, headers=headers, verify=NO_TLS) as http,
    ):
        if grant is not None:
            await sign_in(gateway, managed(grant))
        yield Running(url, client, http, gateway, backend)


def openai_client(url: str, key: str = KEY) -> openai.AsyncOpenAI:
    """Return OpenAI's client of a gateway."""
    http = openai.DefaultAsyncHttpxClient(verify=NO_TLS)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http)


async def sign_in(gateway: Gateway, credential: Credential, user: str = "default") -> None:
    """Store a user's credential as `credential import` does."""
    found = await gateway.accounts.user(user)
    user_id = found[0] if found is not None else await gateway.accounts.add_user(user, None)
    await SqlCredentials(gateway.place, user_id).save(credential)


def managed(grant: Grant) -> Credential:
    """Return what a grant signs in with."""
    document = {"auth_mode": "chatgpt", "tokens": {**grant.as_dict(), "account_id": "org-1"}}
    credential = credential_in(document)
    assert credential is not None
    return credential


def raw_connection(url: str) -> socket.socket:
    """Return a socket that is connected to a gateway."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


@asynccontextmanager
async def gateway_process(environ: Mapping[str, str], *options: str) -> AsyncIterator[tuple[Process, str]]:
    """Start the program as an operator would, and yield the process with its URL once it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "appserver", "gateway", "--port", str(port), *options]
    process = await anyio.open_process(command, env={**os.environ, **environ}, stdout=None, stderr=None)
    url = f"http://127.0.0.1:{port}"
    try:
        with anyio.fail_after(START_SECONDS):
            while not await is_ready(url):
                assert process.returncode is None
                await anyio.sleep(0.02)  # nothing but the port says when it serves
        yield process, url
    finally:
        await kill(process)


async def is_ready(url: str) -> bool:
    """Whether a gateway serves."""
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        try:
            return (await client.get(f"{url}/ready")).status_code == 200
        except httpx.TransportError:
            return False
