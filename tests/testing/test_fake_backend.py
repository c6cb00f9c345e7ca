"""The fake backend as a whole: starting and stopping it, what it records, and pointing a daemon at it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from appserver import testing as fake
from appserver.testing import FakeBackend, run_forever, running_backend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

BEARER = {"authorization": "Bearer any"}


async def test_its_urls_share_one_port_on_loopback(backend: FakeBackend) -> None:
    assert backend.url.startswith("http://127.0.0.1:")
    assert backend.base_url == f"{backend.url}/v1"
    assert backend.chatgpt_base_url == f"{backend.url}/backend-api"


async def test_every_request_is_recorded_also_those_that_fail(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.issuer.fail_next(500)
    await client.post("/oauth/token", data={"grant_type": "refresh_token"})
    await client.post("/v1/responses", json={"input": "x"}, headers=BEARER)
    missing = await client.get("/nowhere?a=1")
    assert missing.status_code == 404
    assert [it.path for it in backend.requests] == ["/oauth/token", "/v1/responses", "/nowhere"]
    token, turn, nowhere = backend.requests
    assert (token.method, token.form(), token.bearer) == ("POST", {"grant_type": "refresh_token"}, None)
    assert (turn.json(), turn.bearer) == ({"input": "x"}, "any")
    assert nowhere.query == {"a": "1"}
    assert backend.requests.to("/v1/responses") == [turn]
    assert backend.requests.to("/v1/responses", "GET") == []


async def test_requests_can_be_awaited(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(client.get, "/somewhere")
        assert len(await backend.requests.wait_for("/somewhere", count=2)) == 2
    assert len(await backend.requests.wait_for("/somewhere")) == 2
    with pytest.raises(TimeoutError, match=r"1 request\(s\) to /elsewhere: not within 0 s"):
        await backend.requests.wait_for("/elsewhere", timeout=0)


async def test_a_failure_inside_the_block_reaches_the_test_as_it_is() -> None:
    with pytest.raises(AssertionError, match=r"^as it is$"):
        async with FakeBackend():
            raise AssertionError("as it is")


async def test_leaving_the_block_ends_what_is_under_way(client: httpx.AsyncClient) -> None:
    gate = fake.Gate()
    async with FakeBackend() as other:
        other.script(fake.stalled(gate))
        async with client.stream("POST", f"{other.base_url}/responses", json={}, headers=BEARER) as answer:
            await gate.reached.wait()
            await other.__aexit__(None, None, None)
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()
        with pytest.raises(httpx.ConnectError):
            await client.get(other.url)


async def test_a_taken_port_is_an_os_error(backend: FakeBackend) -> None:
    port = int(backend.url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"."):
        async with FakeBackend(port):
            pass


async def test_run_forever_tells_when_it_is_ready_and_serves_until_cancelled() -> None:
    ready: list[FakeBackend] = []
    serving = anyio.Event()

    def on_ready(backend: FakeBackend) -> None:
        ready.append(backend)
        serving.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_forever, 0, on_ready)
        await serving.wait()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{ready[0].url}/codex/device")).status_code == 200
        tasks.cancel_scope.cancel()


def test_it_runs_beside_a_test_that_is_not_async() -> None:
    gate = fake.Gate()
    with running_backend() as backend, httpx.Client(base_url=backend.url, headers=BEARER) as client:
        backend.script(fake.text("Hi"), fake.stalled(gate, "Hel"))
        assert "Hi" in client.post("/v1/responses", json={}).text
        with client.stream("POST", "/v1/responses", json={}) as answer:
            gate.reached.wait_blocking()
            gate.release()
            assert "response.completed" in answer.read().decode()
        assert len(backend.requests.wait_for_blocking("/v1/responses", count=2)) == 2


async def test_its_environment_points_a_daemon_at_it(backend: FakeBackend, tmp_path: Path) -> None:
    assert backend.environ(tmp_path) == {
        "CODEX_HOME": str(tmp_path),
        "APPSERVER_HOME": str(tmp_path),
        "CODEX_APP_SERVER_LOGIN_ISSUER": backend.url,
        "CODEX_REFRESH_TOKEN_URL_OVERRIDE": f"{backend.url}/oauth/token",
        "CODEX_REVOKE_TOKEN_URL_OVERRIDE": f"{backend.url}/oauth/revoke",
    }


async def test_its_config_points_a_daemon_at_it(backend: FakeBackend, tmp_path: Path) -> None:
    path = backend.write_config(tmp_path / "new" / "home")
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {
        "model": "fake-model",
        "model_provider": "fake",
        "chatgpt_base_url": backend.chatgpt_base_url,
        "cli_auth_credentials_store": "file",
        "model_providers": {
            "fake": {
                "name": "fake",
                "base_url": backend.base_url,
                "wire_api": "responses",
                "requires_openai_auth": True,
                "request_max_retries": 0,
                "stream_max_retries": 0,
            }
        },
    }


async def test_its_config_can_be_overridden(backend: FakeBackend, tmp_path: Path) -> None:
    awkward = 'quote " backslash \\ newline \n del \x7f snowman \u2603 astral \U0001f600'
    path = backend.write_config(
        tmp_path,
        provider={"requires_openai_auth": False, "name": None, "http_headers": {"X-One": "1", "X Two": "2"}},
        model=awkward,
        chatgpt_base_url=None,
        forced_chatgpt_workspace_id=["org-1", "org-2"],
        limit=1.5,
    )
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    provider = config["model_providers"]["fake"]
    assert config["model"] == awkward
    assert "chatgpt_base_url" not in config
    assert (config["forced_chatgpt_workspace_id"], config["limit"]) == (["org-1", "org-2"], 1.5)
    assert "name" not in provider
    assert provider["requires_openai_auth"] is False
    assert provider["http_headers"] == {"X-One": "1", "X Two": "2"}
