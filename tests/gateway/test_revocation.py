"""What runs for a key that is revoked, or a user who is removed, ends: on whichever node it runs."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from appserver.gateway import served
from appserver.gateway.oauth.request import Authorization
from appserver.gateway.oauth.store import OAuthStore
from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import RESPONSES, Running, managed, running_gateway, sign_in
from tests.gateway.websocket import websocket_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

STREAM = {"model": "m", "input": "Hi", "stream": True}
WHOLE = {"model": "m", "input": "Hi"}


class Nodes(NamedTuple):
    """Two nodes with a user, whose keys the first one changes and the second one serves."""

    one: Running
    other: Running
    user_id: str

    async def key(self) -> tuple[str, str]:
        """Make a key and return its id, and itself."""
        key_id, key = await self.one.gateway.accounts.add_key(self.user_id, ["models", "responses", "rpc"])
        return key_id, key.reveal()

    @asynccontextmanager
    async def stream(self, key: str, gate: Gate) -> AsyncIterator[httpx.Response]:
        """Have the second node answer, up to a gate."""
        self.other.backend.script(stalled(gate, "Hel", "lo"))
        async with self.other.http.stream("POST", RESPONSES, json=STREAM, headers=shown(key)) as answer:
            await gate.reached.wait()
            yield answer


@pytest.fixture
async def nodes(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Nodes]:
    async with (
        running_gateway(backend, home, database_url=database_url) as one,
        running_gateway(backend, home, database_url=database_url) as other,
    ):
        await sign_in(one.gateway, managed(backend.grant()), "ada")
        yield Nodes(one, other, await one.gateway.user_id("ada"))


def shown(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def last_event(answer: httpx.Response) -> dict[str, object]:
    with anyio.fail_after(WAIT_SECONDS):
        lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
    event: dict[str, object] = json.loads(lines[-1].removeprefix("data: "))
    return event


async def test_a_stream_of_a_revoked_key_ends_and_that_of_another_goes_on(nodes: Nodes) -> None:
    (revoked_id, revoked), (_, kept) = await nodes.key(), await nodes.key()
    gates = Gate(), Gate()
    async with nodes.stream(revoked, gates[0]) as ending, nodes.stream(kept, gates[1]) as going_on:
        await nodes.one.gateway.accounts.revoke_key(revoked_id)
        assert (await last_event(ending))["code"] == "invalid_api_key"
        await gates[0].abandoned.wait()
        gates[1].release()
        assert (await last_event(going_on))["type"] == "response.completed"


@pytest.mark.parametrize("path", [RESPONSES, "/jsonrpc"])
async def test_a_request_that_has_no_answer_yet_is_refused(nodes: Nodes, path: str) -> None:
    key_id, key = await nodes.key()
    gate, statuses = nodes.one.backend.model.hold_next(), list[int]()
    asked = WHOLE if path == RESPONSES else {"id": 1, "method": "account/rateLimits/read"}

    async def ask() -> None:
        statuses.append((await nodes.other.http.post(path, json=asked, headers=shown(key))).status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await gate.reached.wait()
        await nodes.one.gateway.accounts.remove_key(key_id)
    assert statuses == [401]


async def test_a_websocket_of_a_revoked_key_is_closed(nodes: Nodes) -> None:
    key_id, key = await nodes.key()
    async with websocket_peer(nodes.other.url, key) as peer:
        await nodes.one.gateway.accounts.revoke_key(key_id)
        assert await peer.close_code() == 1008


async def test_a_stream_of_a_revoked_grant_ends(nodes: Nodes) -> None:
    oauth, uri = OAuthStore(nodes.one.gateway.database, grace_seconds=10.0), "https://a.example/cb"
    await nodes.one.gateway.accounts.put_client("gpt", "GPT", None, ["responses"], [uri])
    client = await oauth.client("gpt")
    assert client is not None
    asked = Authorization("gpt", uri, redirect_uri_given=True, scopes=("responses",), state=None, challenge=None)
    issued = await oauth.redeem_code(client, await oauth.add_code(nodes.user_id, asked), uri, None)
    async with nodes.stream(issued.access.reveal(), Gate()) as answer:
        await oauth.revoke(client, issued.refresh)
        assert (await last_event(answer))["code"] == "invalid_api_key"


async def test_all_that_runs_for_a_removed_user_ends(nodes: Nodes) -> None:
    _, key = await nodes.key()
    gates = Gate(), Gate()
    nodes.one.backend.script(stalled(gates[0]))
    async with websocket_peer(nodes.other.url, key) as peer:
        await peer.start_turn(await peer.start_thread())
        await gates[0].reached.wait()
        async with nodes.stream(key, gates[1]) as answer:
            await nodes.one.gateway.accounts.remove_user("ada")
            assert (await last_event(answer))["code"] == "invalid_api_key"
        assert await peer.close_code() == 1008
    for gate in gates:
        await gate.abandoned.wait()


async def test_a_turn_of_a_removed_user_ends_also_when_nobody_is_connected(nodes: Nodes) -> None:
    _, key = await nodes.key()
    gate = Gate()
    nodes.one.backend.script(stalled(gate))

    async def call(method: str, params: object) -> object:
        request = {"id": 1, "method": method, "params": params}
        return (await nodes.other.http.post("/jsonrpc", json=request, headers=shown(key))).json()["result"]

    started: Any = await call("thread/start", {})
    text = [{"type": "text", "text": "Hi"}]
    await call("turn/start", {"threadId": started["thread"]["id"], "input": text})
    await gate.reached.wait()
    await nodes.one.gateway.accounts.remove_user("ada")
    await gate.abandoned.wait()


async def test_a_removed_user_is_forgotten_also_when_nothing_runs(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "LOOKS_AT_ALL", 1)
    _, key = await nodes.key()
    assert (await nodes.other.http.get("/v1/models", headers=shown(key))).status_code == 200
    assert nodes.user_id in nodes.other.gateway.users.met
    await nodes.one.gateway.accounts.remove_user("ada")
    with anyio.fail_after(WAIT_SECONDS):
        while nodes.user_id in nodes.other.gateway.users.met:
            await nodes.other.http.get("/health")  # nobody is told of it
