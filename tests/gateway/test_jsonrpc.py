"""JSON-RPC over HTTP: a request or a batch in a POST, and both ways over a WebSocket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import websockets

from appserver.gateway.remote import METHODS
from appserver.testing import FunctionCall, output
from tests.gateway.rig import KEY, Running, managed, running_gateway, sign_in
from tests.gateway.websocket import websocket_peer

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

INPUT = [{"type": "text", "text": "Hi"}]


def request(method: str, params: object = None, request_id: object = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {} if params is None else params}


async def post(api: Running, document: object, key: str = KEY) -> httpx.Response:
    return await api.http.post("/jsonrpc", json=document, headers={"X-API-Key": key, "Authorization": ""})


async def call(api: Running, method: str, params: object = None, key: str = KEY) -> Any:  # noqa: ANN401 - JSON
    answer = (await post(api, request(method, params), key)).json()
    assert "result" in answer, answer
    return answer["result"]


async def test_a_request_needs_no_handshake(chatgpt: Running) -> None:
    answer = await post(chatgpt, request("account/read"))
    assert answer.status_code == 200
    assert answer.json()["jsonrpc"] == "2.0"
    assert answer.json()["result"]["account"]["type"] == "chatgpt"


async def test_a_batch_is_answered_by_a_batch(chatgpt: Running) -> None:
    document = [request("model/list", request_id="a"), {"method": "initialized"}, request("none", request_id="b")]
    answers = {one["id"]: one for one in (await post(chatgpt, document)).json()}
    assert set(answers) == {"a", "b"}
    assert "result" in answers["a"]
    assert answers["b"]["error"]["code"] == -32601


async def test_notifications_are_answered_by_nothing(chatgpt: Running) -> None:
    answer = await post(chatgpt, {"jsonrpc": "2.0", "method": "initialized"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"\xff", -32700), (b"[" * 1000, -32700), (b"[]", -32600), (b"5", -32600), (b"{}", -32600)],
)
async def test_what_is_no_request_is_told_so(chatgpt: Running, body: bytes, code: int) -> None:
    answer = await chatgpt.http.post("/jsonrpc", content=body)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (200, code, None)


async def test_who_may_not_call_is_told_by_status_and_in_json_rpc(chatgpt: Running) -> None:
    user_id = await chatgpt.gateway.user_id("default")
    _, other = await chatgpt.gateway.accounts.add_key(user_id, ["models"])
    _, slow = await chatgpt.gateway.accounts.add_key(user_id, ["rpc"], rpm=1)
    await post(chatgpt, request("account/read"), slow.reveal())
    for key, status in (("wrong", 401), (other.reveal(), 403), (slow.reveal(), 429)):
        answer = await post(chatgpt, request("account/read"), key)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == -32000
        assert answer.json()["jsonrpc"] == "2.0"


async def test_a_body_that_is_too_long_is_refused(backend: FakeBackend, home: Path, database_url: str | None) -> None:
    async with running_gateway(backend, home, database_url=database_url, max_body_bytes=100) as api:
        answer = await post(api, request("account/read", {"x": "y" * 100}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, -32000)


async def ended_turn(api: Running, thread_id: str) -> dict[str, Any]:
    with anyio.fail_after(10):
        while True:
            turns = (await call(api, "thread/turns/list", {"threadId": thread_id}))["data"]
            if turns and turns[0]["status"] != "inProgress":
                return dict(turns[0])
            await anyio.sleep(0.01)  # there is no notification over POST


async def test_a_turn_that_was_started_is_found_when_it_has_ended(chatgpt: Running) -> None:
    thread = (await call(chatgpt, "thread/start", {}))["thread"]
    turn = (await call(chatgpt, "turn/start", {"threadId": thread["id"], "input": INPUT}))["turn"]
    assert turn["status"] == "inProgress"
    assert (await ended_turn(chatgpt, thread["id"]))["status"] == "completed"
    items = (await call(chatgpt, "thread/items/list", {"threadId": thread["id"]}))["data"]
    assert "You said: Hi" in json.dumps(items)


async def test_older_callers_can_ask_for_the_status_of_a_conversation(chatgpt: Running) -> None:
    thread_id = (await call(chatgpt, "thread/start", {}))["thread"]["id"]
    for name in ("threadId", "conversationId", "conversation_id"):
        told = await call(chatgpt, "conversation.status", {name: thread_id})
        assert (told["conversationId"], told["status"]) == (thread_id, "idle")
    unknown = (await post(chatgpt, request("conversation.status", {"conversationId": "nothing"}))).json()
    assert "error" in unknown


async def other_user(api: Running) -> str:
    """Add a user and return their key."""
    await sign_in(api.gateway, managed(api.backend.grant(account="org-2", user="user-2")), "ben")
    _, key = await api.gateway.accounts.add_key(await api.gateway.user_id("ben"), ["rpc"])
    return str(key.reveal())


PARAMS: dict[str, dict[str, Any]] = {
    "thread/inject_items": {"items": []},
    "thread/metadata/update": {"gitInfo": {"branch": "x"}},
    "thread/name/set": {"name": "x"},
    "thread/revert": {"beforeTurnId": "x"},
    "thread/rollback": {"numTurns": 1},
    "turn/interrupt": {"turnId": "x"},
    "turn/start": {"input": INPUT},
    "turn/steer": {"input": INPUT, "expectedTurnId": "x"},
}


async def test_another_users_thread_is_answered_as_one_that_does_not_exist_by_every_method(chatgpt: Running) -> None:
    key = await other_user(chatgpt)
    theirs = (await call(chatgpt, "thread/start", {}))["thread"]["id"]
    await call(chatgpt, "turn/start", {"threadId": theirs, "input": INPUT})
    await ended_turn(chatgpt, theirs)
    nobodys = theirs[:-1] + ("0" if theirs[-1] != "0" else "1")
    for method in sorted((*METHODS, "conversation.status")):
        if not method.startswith(("thread/", "turn/", "account/usage", "conversation")):
            continue
        answers = []
        for thread_id in (theirs, nobodys):
            params = {**PARAMS.get(method, {}), "threadId": thread_id}
            answer = (await post(chatgpt, request(method, params), key)).text
            assert "Hi" not in answer
            answers.append(answer.replace(thread_id, "ID"))
        if method not in ("thread/start", "thread/list", "thread/loaded/list"):  # they name no thread
            assert answers[0] == answers[1], method
    assert (await call(chatgpt, "thread/list", {}, key))["data"] == []
    assert [one["id"] for one in (await call(chatgpt, "thread/list", {}))["data"]] == [theirs]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("thread/start", {"config": {"model_providers": {"x": {"base_url": "http://evil.example"}}}}),
        ("thread/start", {"modelProvider": "ollama"}),
        ("turn/start", {"threadId": "x", "input": [{"type": "localImage", "path": "/etc/passwd"}]}),
        ("turn/start", {"threadId": "x", "input": [{"type": "skill", "name": "x", "path": "/etc/passwd"}]}),
        ("account/login/start", {"type": "chatgpt"}),
        ("account/login/start", {"type": "chatgptAuthTokens", "accessToken": "x"}),
        ("config/read", {}),
        ("server/diagnostics", {}),
        ("getAuthStatus", {"includeToken": True}),
    ],
)
async def test_what_would_reach_beyond_the_user_is_refused(
    chatgpt: Running, method: str, params: dict[str, Any]
) -> None:
    answer = (await post(chatgpt, request(method, params))).json()
    assert answer["error"]["code"] in (-32600, -32601, -32602)
    assert chatgpt.backend.requests.to("/v1/responses") == []


async def test_a_websocket_carries_the_protocol_both_ways(chatgpt: Running) -> None:
    chatgpt.backend.script(output(FunctionCall("weather", '{"city":"Rome"}')))
    async with websocket_peer(chatgpt.url) as peer:
        content = [{"type": "inputText", "text": "sunny"}]
        peer.responders["item/tool/call"] = lambda _: {"result": {"contentItems": content, "success": True}}
        tool = {"name": "weather", "description": "Tells the weather", "inputSchema": {"type": "object"}}
        turn = await peer.turn(await peer.start_thread(dynamicTools=[tool]))
    assert turn["status"] == "completed"
    assert "item/tool/call" in [one["method"] for one in peer.requests]
    assert "item/agentMessage/delta" in peer.methods


async def test_events_of_one_user_reach_no_other(chatgpt: Running) -> None:
    key = await other_user(chatgpt)
    async with websocket_peer(chatgpt.url) as mine, websocket_peer(chatgpt.url, key) as others:
        others.forget()
        await mine.turn(await mine.start_thread())
        await others.result("account/read")
        assert len(others.messages) == 1  # and nothing before it


@pytest.mark.parametrize("key", ["wrong", ""])
async def test_a_websocket_without_a_good_key_is_refused_by_status(chatgpt: Running, key: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websocket_peer(chatgpt.url, key):
            pass
    assert caught.value.response.status_code == 401


async def test_a_websocket_client_that_leaves_takes_nothing_along(chatgpt: Running) -> None:
    async with websocket_peer(chatgpt.url) as peer:
        thread_id = await peer.start_thread()
        await peer.start_turn(thread_id)
        await peer.notification("turn/started")
    assert (await ended_turn(chatgpt, thread_id))["status"] == "completed"
