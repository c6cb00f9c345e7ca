"""A session in which every method is called and every notification is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.handlers import absent
from appserver.testing import Gate, failed, function_call, message, output, reasoning, stalled, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.peer import Peer

TOOL = {"type": "function", "name": "lookup", "description": "Looks up a ticket", "inputSchema": {"type": "object"}}
FOUND = {"result": {"contentItems": [{"type": "inputText", "text": "open"}], "success": True}}


async def whole_session(peer: Peer, backend: FakeBackend) -> None:
    """Shake hands and call everything."""
    await peer.initialize()
    await _logins(peer, backend)
    await _features_that_are_not_here(peer)
    await peer.result("config/read", {"includeLayers": True})
    await peer.result("server/diagnostics", {})
    thread_id = await peer.start_thread(
        dynamicTools=[TOOL], config={"mcp_servers": {"a": {"command": "b"}}, "service_tier": "fast"}
    )
    await _turns(peer, backend, thread_id)
    await _lists(peer, thread_id)
    await _life(peer, thread_id)


async def _logins(peer: Peer, backend: FakeBackend) -> None:
    await peer.result("account/read", {})
    await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
    await peer.result("account/read", {})
    await peer.result("getAuthStatus", {"includeToken": True})
    await peer.result("account/logout")
    for kind in ("chatgpt", "chatgptDeviceCode"):
        login = await peer.result("account/login/start", {"type": kind})
        await peer.result("account/login/cancel", {"loginId": login["loginId"]})
    await peer.login_with_tokens(backend.grant().access_token)
    await peer.result("account/read", {})
    backend.model.usage["rate_limit_reset_credits"] = {"available_count": 1}
    await peer.result("account/rateLimits/read")
    await peer.result("account/usage/read", {})


async def _features_that_are_not_here(peer: Peer) -> None:
    for method in (*absent.ANSWERS, *absent.OF_DIRECTORIES):
        await peer.result(method, {"extraRoots": []} if method == "skills/extraRoots/set" else {})


async def _turns(peer: Peer, backend: FakeBackend, thread_id: str) -> None:
    peer.responders["item/tool/call"] = lambda _: FOUND
    peer.responders["account/chatgptAuthTokens/refresh"] = lambda _: {
        "result": {"accessToken": backend.grant().access_token}
    }
    backend.expire_access_tokens()
    backend.script(
        output(reasoning("Hm", raw=("a", "b")), function_call("lookup", {"id": "ABC"})),
        output(message("It is", " open")),
    )
    await peer.turn(thread_id)
    backend.script(failed("context_length_exceeded"))
    await peer.turn(thread_id)
    for method in ("turn/steer", "turn/interrupt"):
        await _while_a_turn_runs(peer, backend, thread_id, method)
    await peer.result("thread/compact/start", {"threadId": thread_id})
    item = {"type": "contextCompaction"}
    compacted = await peer.wait(
        lambda one: one.get("method") == "item/completed" and item.items() <= one["params"]["item"].items()
    )
    await peer.finished_turn(compacted["params"]["turnId"])


async def _while_a_turn_runs(peer: Peer, backend: FakeBackend, thread_id: str, method: str) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"), text("Hello"))
    turn_id = await peer.start_turn(thread_id)
    await peer.notification("item/agentMessage/delta", turnId=turn_id)
    params: dict[str, Any] = {"turnId": turn_id}
    if method == "turn/steer":
        params = {"expectedTurnId": turn_id, "input": [{"type": "text", "text": "Shorter"}]}
    await peer.result(method, {"threadId": thread_id, **params})
    gate.release()
    await peer.finished_turn(turn_id)
    backend.model.clear_script()


async def _lists(peer: Peer, thread_id: str) -> None:
    thread = {"threadId": thread_id}
    await peer.result("model/list", {"limit": 2})
    await peer.result("thread/read", {**thread, "includeTurns": True})
    await peer.result("thread/list", {"limit": 1})
    await peer.result("thread/loaded/list", {})
    await peer.result("thread/turns/list", {**thread, "itemsView": "full"})
    await peer.result("thread/items/list", thread)
    for method in absent.OF_A_THREAD:
        await peer.result(method, thread)


async def _life(peer: Peer, thread_id: str) -> None:
    thread = {"threadId": thread_id}
    mode = {"mode": "plan", "settings": {"model": "gpt-5.5"}}
    await peer.result("thread/settings/update", {**thread, "collaborationMode": mode})
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    await peer.result("thread/inject_items", {**thread, "items": [said]})
    turns = (await peer.result("thread/turns/list", thread))["data"]
    await peer.result("thread/revert", {**thread, "beforeTurnId": turns[0]["id"]})
    await peer.result("thread/rollback", {**thread, "numTurns": 1})
    await peer.result("thread/name/set", {**thread, "name": "A name"})
    await peer.result("thread/metadata/update", {**thread, "gitInfo": {"branch": "main"}})
    await peer.result("thread/unsubscribe", thread)
    await peer.notification("thread/closed", threadId=thread_id)
    await peer.result("thread/resume", {**thread, "initialTurnsPage": {"limit": 2}})
    await peer.result("thread/fork", thread)
    await peer.result("thread/archive", thread)
    await peer.result("thread/unarchive", thread)
    await peer.result("thread/delete", thread)
