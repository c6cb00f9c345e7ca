"""The tools of the embedding application, called over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Gate, RawItem, Stream, function_call, message, output, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

TOOL = {"type": "function", "name": "lookup", "description": "d", "inputSchema": {"type": "object"}}
CALL = function_call("lookup", {"id": "ABC"})
FOUND = {"result": {"contentItems": [{"type": "inputText", "text": "open"}], "success": True}}


async def thread_with_tool(peer: Peer, backend: FakeBackend) -> str:
    await peer.login_with_tokens(backend.grant().access_token)
    return await peer.start_thread(dynamicTools=[TOOL])


def outputs(backend: FakeBackend) -> list[Any]:
    sent = backend.requests.to("/v1/responses")[-1].json()["input"]
    return [item["output"] for item in sent if item["type"] == "function_call_output"]


def call_items(peer: Peer) -> list[Any]:
    items = [note["params"]["item"] for note in peer.notifications if note["method"] == "item/completed"]
    return [item for item in items if item["type"] == "dynamicToolCall"]


async def test_the_client_answers_a_call_and_the_model_goes_on(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(output(CALL), text("It is open"))
    async with server() as peer:
        peer.responders["item/tool/call"] = lambda params: FOUND if params["arguments"] == {"id": "ABC"} else None
        turn = await peer.turn(await thread_with_tool(peer, backend))
        assert turn["items"][0]["text"] == "It is open"
        assert outputs(backend) == ["open"]
        assert [(item["status"], item["success"]) for item in call_items(peer)] == [("completed", True)]
        offered = backend.requests.to("/v1/responses")[0].json()["tools"]
        assert offered == [
            {
                "type": "function",
                "name": "lookup",
                "description": "d",
                "strict": False,
                "parameters": {"type": "object"},
            }
        ]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({"error": {"code": 1, "message": "no such ticket"}}, "no such ticket"),
        ({"error": "broken"}, "broken"),
        ({"result": {"success": True}}, "contentItems"),
        ({"result": None}, "Invalid result"),
        ({"result": {"contentItems": [{"type": "inputSmell"}], "success": True}}, "Invalid result"),
    ],
)
async def test_a_client_that_cannot_answer_gets_a_failed_call_and_no_stuck_turn(
    server: ServerFactory, backend: FakeBackend, reply: dict[str, Any], told: str
) -> None:
    backend.script(output(CALL), text("Sorry"))
    async with server() as peer:
        peer.responders["item/tool/call"] = lambda _: reply
        turn = await peer.turn(await thread_with_tool(peer, backend))
        assert turn["status"] == "completed"
        assert told in outputs(backend)[0]
        assert [(item["status"], item["success"]) for item in call_items(peer)] == [("failed", False)]


async def test_a_client_that_does_not_answer_is_not_waited_for(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(output(CALL), text("Sorry"))
    async with server("appserver.tool_timeout=0.05") as peer:
        turn = await peer.turn(await thread_with_tool(peer, backend))
        assert turn["status"] == "completed"
        assert outputs(backend) == ["item/tool/call timed out after 0.05s"]


async def test_calls_of_one_answer_are_all_asked_before_any_is_answered(
    server: ServerFactory, backend: FakeBackend
) -> None:
    calls = [function_call("lookup", {"n": number}, f"c{number}") for number in range(3)]
    backend.script(output(*calls), text("ok"))
    async with server() as peer:
        turn_id = await peer.start_turn(await thread_with_tool(peer, backend))
        await peer.request("item/tool/call", count=3)
        for request in reversed(peer.requests):
            await peer.send({"id": request["id"], **FOUND})
        assert (await peer.finished_turn(turn_id))["status"] == "completed"
        assert len(outputs(backend)) == 3


async def test_an_interrupt_during_a_call_ends_the_turn_at_once(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(output(CALL))
    async with server() as peer:
        thread = await thread_with_tool(peer, backend)
        turn_id = await peer.start_turn(thread)
        await peer.request("item/tool/call")
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn_id})
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"
        assert [item["status"] for item in call_items(peer)] == ["failed"]
        await peer.turn(thread)
        assert outputs(backend) == ["dynamic tool call was cancelled before receiving a response"]


async def test_a_call_runs_while_the_model_goes_on_writing(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(Stream((CALL, message("meanwhile")), hold_after=2, gate=gate), text("ok"))
    async with server() as peer:
        turn_id = await peer.start_turn(await thread_with_tool(peer, backend))
        request = await peer.request("item/tool/call")
        await peer.send({"id": request["id"], **FOUND})
        await peer.until(lambda: bool(call_items(peer)))
        gate.release()
        assert (await peer.finished_turn(turn_id))["status"] == "completed"


async def test_tools_of_earlier_clients_need_no_type_and_may_name_a_namespace(
    server: ServerFactory, backend: FakeBackend
) -> None:
    flat = {"name": "lookup", "description": "d", "inputSchema": {"type": "object"}}
    called = RawItem({"type": "function_call", "call_id": "c1", "name": "lookup", "namespace": "ns", "arguments": "{}"})
    backend.script(output(called), text("ok"))
    async with server() as peer:
        peer.responders["item/tool/call"] = lambda _: FOUND
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread(dynamicTools=[flat, {**flat, "namespace": "ns"}])
        assert (await peer.turn(thread))["status"] == "completed"
        assert [(one["params"]["namespace"], one["params"]["tool"]) for one in peer.requests] == [("ns", "lookup")]
    offered = backend.requests.to("/v1/responses")[0].json()["tools"]
    assert [(one["type"], one["name"]) for one in offered] == [("function", "lookup"), ("namespace", "ns")]
    assert [one["name"] for one in offered[1]["tools"]] == ["lookup"]


async def test_a_tool_may_answer_with_an_image_and_with_sound(server: ServerFactory, backend: FakeBackend) -> None:
    image = {"type": "inputImage", "imageUrl": "data:image/png;base64,AA"}
    sound = {"type": "inputAudio", "audioUrl": "data:audio/wav;base64,AA"}
    backend.script(output(CALL), text("ok"))
    async with server() as peer:
        peer.responders["item/tool/call"] = lambda _: {"result": {"contentItems": [image, sound], "success": True}}
        await peer.turn(await thread_with_tool(peer, backend))
        assert call_items(peer)[0]["contentItems"] == [image, sound]
    assert outputs(backend) == [
        [
            {"type": "input_image", "image_url": image["imageUrl"]},
            {"type": "input_audio", "audio_url": sound["audioUrl"]},
        ]
    ]


@pytest.mark.parametrize("name", ["two words", "lookup.more"])
async def test_a_tool_whose_name_the_backend_would_refuse_is_refused(server: ServerFactory, name: str) -> None:
    async with server() as peer:
        error = await peer.error("thread/start", {"dynamicTools": [{**TOOL, "name": name}]})
        assert (error["code"], name in error["message"]) == (-32602, True)


@pytest.mark.parametrize("tools", [[{**TOOL, "name": 5}], [{"type": "gadget", "name": "x"}], "lookup"])
async def test_tools_that_are_none_are_refused(server: ServerFactory, tools: object) -> None:
    async with server() as peer:
        assert (await peer.error("thread/start", {"dynamicTools": tools}))["code"] == -32602


async def test_arguments_that_are_no_json_are_told_to_the_model_and_reach_nobody_else(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.script(output(function_call("lookup", '{"id": NaN}')), text("I see"))
    async with server() as peer:  # which fails on a line that is no JSON
        thread_id = await thread_with_tool(peer, backend)
        assert (await peer.turn(thread_id))["status"] == "completed"
        assert outputs(backend) == ["failed to parse function arguments: NaN is not JSON"]
        assert not peer.requests
        read = await peer.result("thread/read", {"threadId": thread_id, "includeTurns": True})
        assert [item["type"] for item in read["thread"]["turns"][0]["items"]] == ["userMessage", "agentMessage"]
