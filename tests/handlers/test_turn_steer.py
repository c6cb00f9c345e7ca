"""turn/steer: a message joins the running turn at the next safe point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.testing import Gate, stalled, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

SAY = [{"type": "text", "text": "left!"}]


async def test_a_steered_message_becomes_an_item_and_is_answered(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Going right"), text("Going left"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread, "go")
        await peer.notification("item/agentMessage/delta")
        params = {"threadId": thread, "expectedTurnId": turn_id, "input": SAY, "clientUserMessageId": "u-2"}
        assert await peer.result("turn/steer", params) == {"turnId": turn_id}
        turn = await peer.finished_turn(turn_id)
        await gate.abandoned.wait()
        items = [note["params"]["item"] for note in peer.notifications if note["method"] == "item/completed"]
        assert [item["type"] for item in items] == ["userMessage", "agentMessage", "userMessage", "agentMessage"]
        assert items[2]["clientId"] == "u-2"
        assert turn["items"][0]["text"] == "Going left"
        history = backend.requests.to("/v1/responses")[1].json()["input"]
        assert [part["content"][0]["text"] for part in history] == ["go", "Going right", "left!"]


async def test_a_wrong_turn_is_told_which_one_is_active(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "x"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread)
        error = await peer.error("turn/steer", {"threadId": thread, "expectedTurnId": "wrong", "input": SAY})
        assert error["code"] == -32600
        assert error["message"] == f"expected active turn id `wrong` but found `{turn_id}`"
        gate.release()
        await peer.finished_turn(turn_id)


async def test_without_an_active_turn_there_is_nothing_to_steer(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        ended = await peer.turn(thread)
        error = await peer.error("turn/steer", {"threadId": thread, "expectedTurnId": ended["id"], "input": SAY})
        assert (error["code"], error["message"]) == (-32600, "no active turn to steer")


async def test_steering_with_nothing_to_say_is_refused(server: ServerFactory) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        error = await peer.error("turn/steer", {"threadId": thread, "expectedTurnId": "t", "input": []})
        assert error["message"] == "input must not be empty"
