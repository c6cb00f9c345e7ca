"""A client that follows a thread while a turn runs: what was said so far, and then everything, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.settings import load_settings
from appserver.testing import Gate, Message, Reasoning, Stream, function_call, output, stalled, text
from tests.peer import house

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

WORDS = tuple(f"word-{number} " for number in range(3000))
LATE_CLIENTS = 12


@pytest.fixture
def several(home: Path, backend: FakeBackend) -> Callable[[], Any]:
    """Start a server for several clients: `async with several() as clients`."""
    return lambda: house(load_settings(backend.environ(home)))


def heard(peer: Peer, turn_id: str, method: str = "item/agentMessage/delta") -> str:
    """What a client that has not asked for the history knows of a turn's text."""
    notes = [note["params"] for note in peer.notifications if note["method"] == method]
    return "".join(params["delta"] for params in notes if params["turnId"] == turn_id)


async def test_it_is_told_what_was_said_so_far_and_then_each_delta_once(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(Stream((Message(("Hel", "lo ", "both", " of you")),), hold_after=2, gate=gate))
    async with several() as clients, clients.client("one") as one, clients.client("late") as late:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        turn = await one.start_turn(thread)
        await one.until(lambda: heard(one, turn) == "Hello ")
        resumed = await late.result("thread/resume", {"threadId": thread})
        assert [item["type"] for item in resumed["thread"]["turns"][0]["items"]] == ["userMessage"]
        await late.notification("item/agentMessage/delta", delta="Hello ")
        gate.release()
        assert (await late.finished_turn(turn))["status"] == "completed"
        assert heard(late, turn) == heard(one, turn) == "Hello both of you"
        assert late.methods.count("item/started") == late.methods.count("item/completed") == 1


async def test_it_hears_everything_whenever_it_comes(several: Callable[[], Any], backend: FakeBackend) -> None:
    backend.script(text(*WORDS))
    async with several() as clients, clients.client("one") as one:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        turn = await one.start_turn(thread)

        async def come_late(after: int) -> None:
            async with clients.client(f"late {after}") as late:
                await one.until(lambda: len(heard(one, turn)) >= after or "turn/completed" in one.methods)
                resumed = await late.result("thread/resume", {"threadId": thread})
                items = resumed["thread"]["turns"][0]["items"]
                if resumed["thread"]["turns"][0]["status"] == "inProgress":
                    await late.finished_turn(turn)
                known = "".join(item["text"] for item in items if item["type"] == "agentMessage")
                assert known + heard(late, turn) == "".join(WORDS)

        async with anyio.create_task_group() as group:
            for number in range(LATE_CLIENTS):
                group.start_soon(come_late, number * len("".join(WORDS)) // LATE_CLIENTS)


async def test_reasoning_under_way_is_told_with_its_parts(several: Callable[[], Any], backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(Stream((Reasoning(("First. ", "Second. ")), Message(("Done",))), hold_after=2, gate=gate))
    summary = "item/reasoning/summaryTextDelta"
    async with several() as clients, clients.client("one") as one, clients.client("late") as late:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        turn = await one.start_turn(thread)
        await gate.reached.wait()
        await one.until(lambda: bool(heard(one, turn, summary)))
        await late.result("thread/resume", {"threadId": thread})
        gate.release()
        await late.finished_turn(turn)
        await one.finished_turn(turn)
        assert heard(late, turn, summary) == heard(one, turn, summary) != ""
        assert late.methods.count("item/reasoning/summaryPartAdded") == one.methods.count(
            "item/reasoning/summaryPartAdded"
        )


async def test_a_tool_call_under_way_is_told(several: Callable[[], Any], backend: FakeBackend) -> None:
    backend.script(output(function_call("lookup", {})), text("done"))
    tool = {"type": "function", "name": "lookup", "description": "Looks up", "inputSchema": {}}
    async with several() as clients, clients.client("one") as one, clients.client("late") as late:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread(dynamicTools=[tool])
        turn = await one.start_turn(thread)
        call = await one.request("item/tool/call")
        await late.result("thread/resume", {"threadId": thread})
        started = await late.wait(lambda message: message.get("method") == "item/started")
        assert started["params"]["item"]["id"] == call["params"]["callId"]
        answer = {"contentItems": [{"type": "inputText", "text": "found"}], "success": True}
        await one.send({"id": call["id"], "result": answer})
        assert (await late.finished_turn(turn))["status"] == "completed"


async def test_one_that_follows_the_thread_already_is_told_nothing_twice(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "once"))
    async with several() as clients, clients.client("one") as one:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        turn = await one.start_turn(thread)
        await one.until(lambda: heard(one, turn) == "once")
        await one.result("thread/resume", {"threadId": thread})
        gate.release()
        await one.finished_turn(turn)
        assert heard(one, turn) == "once"


async def test_one_that_comes_back_after_it_had_unsubscribed_is_told_what_it_has_missed(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "before it comes back "))
    async with several() as clients, clients.client("one") as one, clients.client("back") as back:
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        await one.result("thread/name/set", {"threadId": thread, "name": "ours"})
        await back.result("thread/resume", {"threadId": thread})
        await back.result("thread/unsubscribe", {"threadId": thread})
        turn = await one.start_turn(thread)
        await one.until(lambda: bool(heard(one, turn)))
        assert not heard(back, turn)
        await back.result("thread/resume", {"threadId": thread, "excludeTurns": True})
        gate.release()
        await back.finished_turn(turn)
        assert heard(back, turn) == "before it comes back "
