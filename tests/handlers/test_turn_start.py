"""turn/start: what a client sees of a turn, and what the model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Gate, message, output, reasoning, stalled, text
from appserver.turns import manager

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


async def sign_in(peer: Peer, backend: FakeBackend) -> None:
    await peer.login_with_tokens(backend.grant().access_token)


def asked(backend: FakeBackend, number: int = -1) -> Any:  # noqa: ANN401 - a request's JSON
    return backend.requests.to("/v1/responses")[number].json()


async def test_a_turn_tells_its_life_in_order(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(output(reasoning("hm"), message("Hello", " there")))
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        before = len(peer.notifications)
        turn = await peer.turn(thread)
        assert peer.methods[before:] == [
            "thread/status/changed",
            "turn/started",
            "item/started",
            "item/completed",
            "item/started",
            "item/reasoning/summaryPartAdded",
            "item/reasoning/summaryTextDelta",
            "item/completed",
            "item/started",
            "item/agentMessage/delta",
            "item/agentMessage/delta",
            "item/completed",
            "thread/tokenUsage/updated",
            "account/rateLimits/updated",
            "thread/status/changed",
            "turn/completed",
        ]
        assert turn["items"][0]["text"] == "Hello there"
        assert turn["durationMs"] >= 0


async def test_the_overrides_of_a_turn_hold_for_it_and_those_after(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        overrides = {"model": "big", "effort": "high", "summary": "detailed", "personality": "friendly"}
        await peer.turn(thread, **overrides, outputSchema={"type": "object"})
        await peer.turn(thread)
        first, second = asked(backend, 0), asked(backend, 1)
        for sent in (first, second):
            assert (sent["model"], sent["reasoning"]) == ("big", {"summary": "detailed", "effort": "high"})
        assert first["text"]["format"]["schema"] == {"type": "object"}
        assert "text" not in second


async def test_images_go_to_the_model_and_come_back_in_the_item(
    server: ServerFactory, backend: FakeBackend, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = [{"type": "image", "url": "https://x/y.png"}, {"type": "localImage", "path": str(tmp_path / "a.png")}]
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        started = await peer.result("turn/start", {"threadId": thread, "input": images})
        await peer.finished_turn(started["turn"]["id"])
        item = (await peer.notification("item/completed"))["item"]
        assert item["content"] == images
        urls = [part["image_url"] for part in asked(backend)["input"][0]["content"]]
        assert urls == ["https://x/y.png", "data:image/png;base64,iVBORw0KGgo="]


async def test_no_kind_of_input_refuses_the_turn(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    (home / "skills" / "greet").mkdir(parents=True)
    (home / "skills" / "greet" / "SKILL.md").write_text("Say hello.", "utf-8")
    given = [
        {"type": "skill", "name": "greet", "path": str(home / "skills" / "greet" / "SKILL.md")},
        {"type": "mention", "name": "n.txt", "path": "/work/n.txt"},
        {"type": "image", "fileId": "file-1"},
        {"type": "audio", "url": "data:audio/wav;base64,AA"},
        {"type": "localAudio", "path": "/no/such.wav"},
        {"type": "localImage", "path": "/no/such.png"},
    ]
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        turn_id = (await peer.result("turn/start", {"threadId": thread, "input": given}))["turn"]["id"]
        assert (await peer.finished_turn(turn_id))["status"] == "completed"
        assert (await peer.notification("item/completed"))["item"]["content"] == given
    sent = asked(backend)["input"][0]["content"]
    assert [part["type"] for part in sent] == [
        "input_text",
        "input_text",
        "input_image",
        "input_text",
        "input_text",
        "input_text",
    ]
    assert "Say hello." in sent[0]["text"]
    assert sent[2]["file_id"] == "file-1"
    assert "/no/such.png" in sent[5]["text"]


@pytest.mark.parametrize("method", ["turn/start", "turn/steer"])
async def test_an_image_that_names_nothing_refuses_the_request(
    server: ServerFactory, backend: FakeBackend, method: str
) -> None:
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        error = await peer.error(method, {"threadId": thread, "input": [{"type": "image"}], "expectedTurnId": "t"})
        assert (error["code"], "input.0" in error["message"]) == (-32602, True)


async def test_a_turn_may_begin_without_a_word(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        await peer.turn(thread, "one")
        started = await peer.result("turn/start", {"threadId": thread, "input": []})
        assert (await peer.finished_turn(started["turn"]["id"]))["status"] == "completed"
        said = [note["params"]["item"] for note in peer.notifications if note["method"] == "item/completed"]
        assert [item["type"] for item in said] == ["userMessage", "agentMessage", "agentMessage"]
    assert [item["role"] for item in asked(backend, 1)["input"]] == ["user", "assistant"]


async def test_a_start_while_a_turn_runs_is_heard_in_that_turn(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Half"), text("Whole"))
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        first = await peer.start_turn(thread, "one")
        await peer.notification("item/agentMessage/delta")
        assert await peer.start_turn(thread, "two", outputSchema={"type": "object"}) == first
        turn = await peer.finished_turn(first)
        assert turn["items"][0]["text"] == "Whole"
        assert peer.methods.count("turn/completed") == 1
        assert "two" in str(asked(backend)["input"])
        assert asked(backend)["text"]["format"]["schema"] == {"type": "object"}


async def test_threads_run_side_by_side(server: ServerFactory, backend: FakeBackend) -> None:
    gates = [Gate() for _ in range(8)]
    backend.script(*(stalled(gate, "x") for gate in gates))
    async with server() as peer:
        await sign_in(peer, backend)
        turns = [await peer.start_turn(await peer.start_thread()) for _ in gates]
        for gate in gates:
            await gate.reached.wait()
        for gate in gates:
            gate.release()
        for turn in turns:
            assert (await peer.finished_turn(turn))["status"] == "completed"


async def test_a_turn_in_an_unknown_thread_is_refused(server: ServerFactory) -> None:
    async with server() as peer:
        error = await peer.error("turn/start", {"threadId": "none", "input": []})
        assert "none" in error["message"]


async def test_a_turn_without_a_sign_in_fails_and_says_so(server: ServerFactory) -> None:
    async with server() as peer:
        turn = await peer.turn(await peer.start_thread())
        assert (turn["status"], turn["error"]["codexErrorInfo"]) == ("failed", "unauthorized")


async def test_the_usage_of_a_thread_adds_up(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await sign_in(peer, backend)
        thread = await peer.start_thread()
        await peer.turn(thread)
        await peer.turn(thread)
        told = [note["params"] for note in peer.notifications if note["method"] == "thread/tokenUsage/updated"]
        assert told[-1]["tokenUsage"]["total"]["totalTokens"] == 30
        assert told[-1]["tokenUsage"]["last"]["totalTokens"] == 15


async def test_a_turn_too_many_is_answered_as_overload(
    server: ServerFactory, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "MAX_RUNNING_TURNS", 1)
    backend.script(stalled(Gate(), "Half"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        first, second = await peer.start_thread(), await peer.start_thread()
        turn_id = await peer.start_turn(first)
        await peer.notification("item/agentMessage/delta")  # the request that stalls is this turn's
        said = [{"type": "text", "text": "Hello"}]
        for method, params in (("turn/start", {"input": said}), ("thread/compact/start", {})):
            refused = await peer.error(method, {"threadId": second, **params})
            assert (refused["code"], refused["message"]) == (-32001, "Server overloaded; retry later.")
            assert refused["data"]["codex_error_info"] == "server_overloaded"
            assert refused["data"]["retryAfterMs"] > 0
        steered = {"threadId": first, "expectedTurnId": turn_id, "input": said}
        assert await peer.result("turn/steer", steered) == {"turnId": turn_id}
        await peer.result("turn/interrupt", {"threadId": first, "turnId": turn_id})
        await peer.finished_turn(turn_id)
        assert (await peer.turn(second))["status"] == "completed"


@pytest.mark.parametrize("lane", ["at once", "after reading files", "in a batch"])
async def test_a_turn_that_fails_at_once_is_answered_before_it_is_told_of(server: ServerFactory, lane: str) -> None:
    image = [{"type": "localImage", "path": "/no/such.png"}] if lane == "after reading files" else []
    async with server() as peer:
        thread = await peer.start_thread()  # nobody is signed in
        await peer.notification("thread/started")
        start = len(peer.messages)
        request = {"id": 99, "method": "turn/start", "params": {"threadId": thread, "input": image}}
        await peer.send([request] if lane == "in a batch" else request)
        await peer.notification("turn/completed")
        answer, *rest = peer.messages[start:]
        assert (answer["id"], answer["result"]["turn"]["status"]) == (99, "inProgress")
        assert [message["method"] for message in rest][-2:] == ["error", "turn/completed"]
