"""turn/interrupt: answered at once, whatever the turn is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.rpc import in_flight
from appserver.testing import Gate, stalled

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio


async def test_an_interrupt_ends_a_stream_and_hangs_up(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread)
        await peer.notification("item/agentMessage/delta")
        assert await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id}) == {}
        turn = await peer.finished_turn(turn_id)
        assert (turn["status"], turn["error"]) == ("interrupted", None)
        await gate.abandoned.wait()


async def test_an_interrupt_by_a_client_that_has_not_learnt_the_id_ends_the_turn_that_runs(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.script(stalled(Gate(), "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        nothing = await peer.error("turn/interrupt", {"threadId": thread, "turnId": ""})
        assert nothing["message"] == "no active turn to interrupt"
        turn_id = await peer.start_turn(thread)
        assert await peer.result("turn/interrupt", {"threadId": thread, "turnId": ""}) == {}
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"


async def test_an_interrupt_ends_a_turn_that_waits_for_the_backend(server: ServerFactory, backend: FakeBackend) -> None:
    gate = backend.model.hold_next()
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread)
        await gate.reached.wait()
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id})
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"


async def test_an_interrupt_twice_in_a_row_ends_the_turn_once(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(stalled(Gate(), "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread)
        params = {"threadId": thread, "turnId": turn_id}
        answers = [await peer.post("turn/interrupt", params) for _ in range(2)]
        for answer in answers:
            await peer.response(answer)
        await peer.finished_turn(turn_id)
        assert peer.methods.count("turn/completed") == 1


async def test_an_interrupt_of_a_finished_turn_is_answered(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn = await peer.turn(thread)
        error = await peer.error("turn/interrupt", {"threadId": thread, "turnId": turn["id"]})
        assert error == {"code": -32600, "message": "no active turn to interrupt"}


async def test_an_interrupt_is_not_refused_for_load(
    server: ServerFactory, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.script(stalled(Gate(), "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread)
        monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", 0)
        refused = await peer.error("account/rateLimits/read")
        assert refused["code"] == -32001
        assert refused["data"]["codex_error_info"] == "server_overloaded"
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id})
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"


async def test_the_turn_after_an_interrupted_one_remembers_what_was_seen(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.script(stalled(Gate(), "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread, "one")
        await peer.notification("item/agentMessage/delta")
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id})
        await peer.finished_turn(turn_id)
        await peer.turn(thread, "two")
        history = backend.requests.to("/v1/responses")[1].json()["input"]
        assert [part["content"][0]["text"] for part in history] == ["one", "Half", "two"]
