"""server/diagnostics: what a running server tells of itself."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING

import pytest

from appserver import __version__
from appserver.server.workspace import Workspace
from appserver.settings import load_settings
from appserver.testing import Gate, stalled
from tests.handlers.accounts import store_login
from tests.peer import house

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

METHOD = "server/diagnostics"
SECRET_TEXT = "the user's own words, which nobody else may read"


async def gauges(peer: Peer) -> dict[str, int]:
    return {gauge["name"]: gauge["value"] for gauge in (await peer.result(METHOD))["gauges"]}


async def test_the_process_and_its_versions_are_told(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        told = await peer.result(METHOD, {})
    assert told["process"]["id"] == os.getpid()
    assert told["versions"] == {"server": __version__, "protocol": "0.163.0", "python": platform.python_version()}
    assert told["home"] == str(home)
    assert told["uptimeSeconds"] >= 0
    assert told["longestLoopPauseMs"] is None, "it is not our own event loop"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not known")
async def test_memory_is_told(server: ServerFactory) -> None:
    async with server() as peer:
        assert (await peer.result(METHOD))["process"]["residentMemoryBytes"] > 10_000_000


@pytest.mark.skipif(sys.platform == "win32", reason="the event loop there cannot be measured")
async def test_a_process_tells_the_longest_pause_of_its_event_loop(
    process: ServerFactory, backend: FakeBackend
) -> None:
    async with process() as peer:
        assert (await peer.result(METHOD))["longestLoopPauseMs"] is None, "there is no event loop yet"
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.turn(await peer.start_thread())  # imports much at once
        assert (await peer.result(METHOD))["longestLoopPauseMs"] > 0


async def test_turns_threads_and_requests_are_counted(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "begun"))
    async with server() as peer:
        assert (await gauges(peer))["core.threads.live"] == 0
        await peer.login_with_tokens(backend.grant().access_token)
        turn_id = await peer.start_turn(await peer.start_thread())
        await peer.notification("item/agentMessage/delta")
        running = await gauges(peer)
        assert (running["core.threads.live"], running["core.turns.active"]) == (1, 1)
        gate.release()
        await peer.finished_turn(turn_id)
        assert (await gauges(peer))["core.turns.active"] == 0


async def test_refreshes_are_counted(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant())
    async with server() as peer:
        thread_id = await peer.start_thread()
        assert (await peer.result(METHOD))["refreshes"] == {"started": 0, "succeeded": 0, "failed": 0}
        backend.expire_access_tokens()
        assert (await peer.turn(thread_id))["status"] == "completed"
        assert (await peer.result(METHOD))["refreshes"] == {"started": 1, "succeeded": 1, "failed": 0}
        backend.expire_access_tokens()
        backend.tokens.expire_refresh_tokens()
        assert (await peer.turn(thread_id))["status"] == "failed"
        assert (await peer.result(METHOD))["refreshes"] == {"started": 2, "succeeded": 1, "failed": 1}


async def test_a_client_sees_the_clients_of_its_own_workspace(backend: FakeBackend, home: Path, tmp_path: Path) -> None:
    settings = load_settings(backend.environ(home))
    (tmp_path / "other").mkdir()
    async with house(settings) as running:
        others_settings = load_settings(backend.environ(tmp_path / "other"))
        other = running.server.add(Workspace(running.server.runtime, others_settings))
        async with running.client("one"), running.client("two") as peer, running.client("three", other):
            told = await peer.result(METHOD)
    names = [(one["id"], one["clientName"], one["clientVersion"]) for one in told["connections"]]
    assert names == [(1, "one", "1"), (2, "two", "1")]
    assert {gauge["name"]: gauge["value"] for gauge in told["gauges"]}["app.connections.open"] == 2


async def test_nothing_secret_and_nothing_of_the_user_is_told(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        backend.expire_access_tokens()
        await peer.turn(await peer.start_thread(cwd=str(home.parent)), SECRET_TEXT)
        told = json.dumps(await peer.result(METHOD))
    for secret in (SECRET_TEXT, grant.access_token, grant.refresh_token, "user@example.com", "org-1"):
        assert secret not in told
    assert str(home.parent) not in told.replace(str(home), "")
