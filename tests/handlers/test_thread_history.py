"""thread/inject_items, thread/revert and thread/rollback: what the model is sent afterwards, and what clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Gate, function_call, output, stalled, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

INJECT, REVERT, ROLLBACK, REVERTED = "thread/inject_items", "thread/revert", "thread/rollback", "thread/reverted"
TOOL = {"name": "lookup", "description": "d", "inputSchema": {"type": "object"}}


def item(words: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": words}]}


def sent(backend: FakeBackend, number: int = -1) -> list[str]:
    items = backend.requests.to("/v1/responses")[number].json()["input"]
    return [one["content"][0]["text"] if one["type"] == "message" else one["type"] for one in items]


async def thread_with_turns(peer: Peer, backend: FakeBackend, *texts: str, **params: object) -> tuple[str, list[str]]:
    await peer.login_with_tokens(backend.grant().access_token)
    thread = await peer.start_thread(**params)
    return thread, [(await peer.turn(thread, words))["id"] for words in texts]


async def test_injected_items_are_sent_to_the_model_and_shown_to_nobody(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        await peer.notification("thread/started")
        start = len(peer.messages)
        items = [item("Earlier question"), item("Earlier answer", "assistant")]
        assert await peer.result(INJECT, {"threadId": thread, "items": items}) == {}
        assert [one["method"] for one in peer.messages[start:] if "method" in one] == []
        await peer.turn(thread, "And now?")
        shown = (await peer.result("thread/items/list", {"threadId": thread}))["data"]
        assert [one["item"]["type"] for one in shown] == ["userMessage", "agentMessage"]
    assert sent(backend) == ["Earlier question", "Earlier answer", "And now?"]
    assert len(backend.requests.to("/v1/responses")) == 1


@pytest.mark.parametrize("ephemeral", [False, True])
async def test_injected_items_stand_between_the_turns(
    server: ServerFactory, backend: FakeBackend, ephemeral: bool
) -> None:
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend, "one", ephemeral=ephemeral)
        await peer.result(INJECT, {"threadId": thread, "items": [item("between")]})
        await peer.turn(thread, "two")
    assert sent(backend) == ["one", "You said: one", "between", "two"]


async def test_injected_items_outlive_the_process(process: ServerFactory, backend: FakeBackend) -> None:
    async with process() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        await peer.result(INJECT, {"threadId": thread, "items": [item("before")]})
        await peer.turn(thread, "one")
        await peer.result(INJECT, {"threadId": thread, "items": [item("after")]})
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.result("thread/resume", {"threadId": thread})
        await peer.turn(thread, "two")
    assert sent(backend) == ["before", "one", "You said: one", "after", "two"]


async def test_items_injected_into_a_running_turn_wait_for_the_end_of_the_answer_and_are_answered(
    server: ServerFactory, backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Whole", " answer"), text("To that"))
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        turn_id = await peer.start_turn(thread, "one")
        await peer.notification("item/agentMessage/delta")
        await peer.result(INJECT, {"threadId": thread, "items": [item("meanwhile")]})
        gate.release()
        turn = await peer.finished_turn(turn_id)
        assert (turn["status"], turn["items"][0]["text"]) == ("completed", "To that")
        await peer.turn(thread, "two")
    assert sent(backend, 1) == ["one", "Whole answer", "meanwhile"]
    assert sent(backend) == ["one", "Whole answer", "meanwhile", "To that", "two"]


async def test_items_injected_into_a_turn_that_is_interrupted_are_kept(
    server: ServerFactory, backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Half"))
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        turn_id = await peer.start_turn(thread, "one")
        await peer.notification("item/agentMessage/delta")
        await peer.result(INJECT, {"threadId": thread, "items": [item("meanwhile")]})
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id})
        await peer.finished_turn(turn_id)
        await peer.turn(thread, "two")
    assert sent(backend) == ["one", "Half", "meanwhile", "two"]


async def test_a_call_and_its_output_may_be_injected(server: ServerFactory, backend: FakeBackend) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1", "id": "fc-1"}
    made = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        await peer.result(INJECT, {"threadId": thread, "items": [call, made, {"type": "telepathy"}]})
        await peer.turn(thread, "one")
    body = backend.requests.to("/v1/responses")[-1].json()["input"]
    assert body[:2] == [{name: value for name, value in call.items() if name != "id"}, made]
    assert len(body) == 3


@pytest.mark.parametrize(
    ("items", "code", "words"),
    [
        ([], -32600, "items must not be empty"),
        (["x"], -32602, "items[0] is not a valid response item: expected an object"),
        ([item("x"), {"type": "message"}], -32602, "items[1] is not a valid response item: missing field `role`"),
        ("x", -32602, "Invalid params for thread/inject_items: items: Input should be a valid list"),
    ],
)
async def test_what_cannot_be_injected_is_refused_as_a_whole(
    server: ServerFactory, backend: FakeBackend, items: object, code: int, words: str
) -> None:
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        error = await peer.error(INJECT, {"threadId": thread, "items": items})
        assert (error["code"], error["message"]) == (code, words)
        await peer.turn(thread, "one")
    assert sent(backend) == ["one"]


@pytest.mark.parametrize("ephemeral", [False, True])
async def test_a_revert_takes_out_a_turn_and_all_after_it(
    server: ServerFactory, backend: FakeBackend, ephemeral: bool
) -> None:
    async with server() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one", "two", "three", ephemeral=ephemeral)
        result = await peer.result(REVERT, {"threadId": thread, "beforeTurnId": turns[1]})
        assert (result["thread"]["id"], result["thread"]["turns"]) == (thread, [])
        await peer.notification(REVERTED, threadId=thread)
        page = await peer.result("thread/turns/list", {"threadId": thread, "cursor": result["turnsBackwardsCursor"]})
        assert [turn["id"] for turn in page["data"]] == turns[:1]
        await peer.turn(thread, "four")
    assert sent(backend) == ["one", "You said: one", "four"]


async def test_a_revert_outlives_the_process(process: ServerFactory, backend: FakeBackend) -> None:
    async with process() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one", "two")
        await peer.result(REVERT, {"threadId": thread, "beforeTurnId": turns[1]})
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        found = (await peer.result("thread/resume", {"threadId": thread}))["thread"]
        assert [turn["id"] for turn in found["turns"]] == turns[:1]
        await peer.turn(thread, "three")
    assert sent(backend) == ["one", "You said: one", "three"]


@pytest.mark.parametrize("back", [0, 1])
async def test_a_running_turn_is_interrupted_and_taken_out(
    server: ServerFactory, backend: FakeBackend, back: int
) -> None:
    backend.script(text("a"), stalled(Gate(), "Half"))
    async with server() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one")
        turns.append(await peer.start_turn(thread, "two"))
        await peer.notification("item/agentMessage/delta", turnId=turns[1])
        await peer.result(REVERT, {"threadId": thread, "beforeTurnId": turns[back]})
        assert (await peer.finished_turn(turns[1]))["status"] == "interrupted"
        assert peer.methods.count("turn/completed") == 2
        left = (await peer.result("thread/turns/list", {"threadId": thread}))["data"]
        assert [turn["id"] for turn in left] == turns[:back]
        backend.model.clear_script()
        await peer.turn(thread, "three")
    assert sent(backend) == ["one", "a", "three"][0 if back else 2 :]


async def test_a_turn_that_was_started_in_the_same_batch_is_taken_out(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one")
        start = {"threadId": thread, "input": [{"type": "text", "text": "two"}]}
        revert = {"threadId": thread, "beforeTurnId": turns[0]}
        await peer.send(
            [{"id": "s", "method": "turn/start", "params": start}, {"id": "r", "method": REVERT, "params": revert}]
        )
        await peer.notification(REVERTED)
        assert (await peer.result("thread/turns/list", {"threadId": thread}))["data"] == []


async def test_a_turn_that_calls_a_tool_is_interrupted_and_taken_out(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.script(output(function_call("lookup", {})))
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend, dynamicTools=[TOOL])
        turn_id = await peer.start_turn(thread, "one")
        await peer.request("item/tool/call")
        await peer.result(REVERT, {"threadId": thread, "beforeTurnId": turn_id})
        await peer.turn(thread, "two")
    assert sent(backend) == ["two"]


@pytest.mark.parametrize("running", [False, True])
async def test_a_turn_that_is_not_there_is_told_and_interrupts_nothing(
    server: ServerFactory, backend: FakeBackend, running: bool
) -> None:
    gate = Gate()
    async with server() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one")
        if running:
            backend.script(stalled(gate, "Half"))
            turns.append(await peer.start_turn(thread, "two"))
            await peer.notification("item/agentMessage/delta", turnId=turns[1])
        error = await peer.error(REVERT, {"threadId": thread, "beforeTurnId": "nope"})
        assert (error["code"], error["message"]) == (-32600, "turn not found: nope")
        assert error["data"]["kind"] == "turnNotFound"
        gate.release()
        assert (await peer.finished_turn(turns[-1]))["status"] == "completed"
        assert REVERTED not in peer.methods


async def test_a_failed_turn_that_is_taken_out_leaves_an_idle_thread(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend, "one")
        backend.model.fail_next(400)
        failed = await peer.turn(thread, "two")
        result = await peer.result(REVERT, {"threadId": thread, "beforeTurnId": failed["id"]})
        assert result["thread"]["status"] == {"type": "idle"}
        await peer.notification(REVERTED)
        assert [note["params"]["status"] for note in peer.notifications if note["method"] == "thread/status/changed"][
            -2:
        ] == [{"type": "systemError"}, {"type": "idle"}]


@pytest.mark.parametrize(("number", "left"), [(1, 2), (2, 1), (3, 0), (99, 0)])
async def test_a_rollback_takes_out_the_last_turns_and_tells_those_that_are_left(
    server: ServerFactory, backend: FakeBackend, number: int, left: int
) -> None:
    async with server() as peer:
        thread, turns = await thread_with_turns(peer, backend, "one", "two", "three")
        found = (await peer.result(ROLLBACK, {"threadId": thread, "numTurns": number}))["thread"]
        assert [turn["id"] for turn in found["turns"]] == turns[:left]
        assert all(len(turn["items"]) == 2 for turn in found["turns"])
        await peer.notification(REVERTED, threadId=thread)
        await peer.turn(thread, "four")
    assert len(sent(backend)) == 2 * left + 1


@pytest.mark.parametrize(("number", "code"), [(0, -32602), (-1, -32602), ("1", -32602), (10**30, None)])
async def test_a_rollback_needs_a_number_of_turns(
    server: ServerFactory, backend: FakeBackend, number: object, code: int | None
) -> None:
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend, "one")
        answer = await peer.call(ROLLBACK, {"threadId": thread, "numTurns": number})
        assert answer.get("error", {}).get("code") == code


async def test_a_rollback_leaves_a_running_turn_alone(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Half"))
    async with server() as peer:
        thread, _ = await thread_with_turns(peer, backend)
        turn_id = await peer.start_turn(thread, "one")
        error = await peer.error(ROLLBACK, {"threadId": thread, "numTurns": 1})
        assert (error["message"], error["data"]) == (
            "Cannot rollback while a turn is in progress.",
            {"activeTurnId": turn_id},
        )
        gate.release()
        assert (await peer.finished_turn(turn_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("method", "params"),
    [(INJECT, {"items": [item("x")]}), (REVERT, {"beforeTurnId": "t"}), (ROLLBACK, {"numTurns": 1})],
)
async def test_a_thread_must_be_loaded(server: ServerFactory, method: str, params: dict[str, Any]) -> None:
    async with server() as peer:
        error = await peer.error(method, {"threadId": "01a2016d-8232-7e50-b236-db89dc4f6164", **params})
        assert (error["code"], error["data"]["kind"]) == (-32600, "threadNotFound")
