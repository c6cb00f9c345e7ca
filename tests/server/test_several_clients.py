"""Several clients in one workspace: who is told what, who is asked, and that one which leaves takes nothing with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.settings import load_settings
from appserver.testing import Gate, function_call, output, stalled, text
from tests.peer import House, house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.peer import Message, Peer

pytestmark = pytest.mark.anyio

REFRESH = "account/chatgptAuthTokens/refresh"
TOOL_CALL = "item/tool/call"
LOOKUP = {"type": "function", "name": "lookup", "description": "Looks up", "inputSchema": {}}


@pytest.fixture
def several(home: Path, backend: FakeBackend) -> Callable[[], Any]:
    """Start a server for several clients: `async with several() as clients`."""
    return lambda: house(load_settings(backend.environ(home)))


@asynccontextmanager
async def two(clients: House) -> AsyncIterator[tuple[Peer, Peer]]:
    async with clients.client("one") as one, clients.client("two") as other:
        yield one, other


def deltas(peer: Peer) -> str:
    return "".join(
        message["params"]["delta"] for message in peer.notifications if message["method"] == "item/agentMessage/delta"
    )


def tool_result(words: str) -> Message:
    return {"result": {"contentItems": [{"type": "inputText", "text": words}], "success": True}}


def outputs(backend: FakeBackend) -> list[Any]:
    """What the model was told that the tools have answered."""
    items = [item for request in backend.requests.to("/v1/responses") for item in request.json()["input"]]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


async def test_both_clients_that_have_resumed_a_thread_see_its_deltas(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(text("first"), text("Hel", "lo", " both"))
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        await one.turn(thread)
        assert not deltas(other), "it has not asked for them"
        await other.result("thread/resume", {"threadId": thread})
        turn = await one.start_turn(thread)
        for peer in (one, other):
            assert (await peer.finished_turn(turn))["status"] == "completed"
        assert deltas(one) == "firstHello both"
        assert deltas(other) == "Hello both"


async def test_a_client_that_leaves_takes_nothing_with_it(several: Callable[[], Any], backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "goes "), text("and on"))
    async with several() as clients, clients.client("stays") as stays:
        async with clients.client("leaves") as leaves:
            await leaves.login_with_tokens(backend.grant().access_token)
            thread = await leaves.start_thread()
            await stays.result("thread/resume", {"threadId": thread})
            turn = await leaves.start_turn(thread)
            await gate.reached.wait()
        gate.release()
        assert (await stays.finished_turn(turn))["status"] == "completed"
        assert (await stays.result("account/read"))["account"]["type"] == "chatgpt"
        assert (await stays.turn(thread))["status"] == "completed"
        assert deltas(stays) == "goes and on"


async def test_what_happens_in_a_thread_is_told_to_nobody_who_has_not_asked_for_it(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        await one.turn(thread)
        await other.notification("thread/status/changed", status={"type": "idle"})
        told = {message["method"] for message in other.notifications}
        assert not {one for one in told if one.startswith(("turn/", "item/"))}
        assert {"thread/started", "account/updated", "account/login/completed"} <= told


async def test_a_client_that_unsubscribes_keeps_the_thread_open_for_the_other(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(text("to one"))
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread()
        await one.result("thread/name/set", {"threadId": thread, "name": "ours"})
        await other.result("thread/resume", {"threadId": thread})
        assert await one.result("thread/unsubscribe", {"threadId": thread}) == {"status": "unsubscribed"}
        assert await one.result("thread/unsubscribe", {"threadId": thread}) == {"status": "notSubscribed"}
        assert (await other.turn(thread))["status"] == "completed"
        assert deltas(other) == "to one"
        assert not deltas(one)


async def test_new_tokens_are_asked_of_the_client_that_supplied_the_old_ones(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    old = backend.grant().access_token
    backend.expire_access_tokens()
    new = backend.grant().access_token
    async with several() as clients, two(clients) as (one, other):
        other.responders[REFRESH] = lambda _: {"result": {"accessToken": new, "chatgptAccountId": "org-1"}}
        await other.login_with_tokens(old)
        assert (await one.turn(await one.start_thread()))["status"] == "completed"
        assert [request["method"] for request in other.requests] == [REFRESH]
        assert not one.requests


async def test_when_the_supplier_of_the_tokens_leaves_during_the_refresh_the_oldest_other_client_is_asked(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    old = backend.grant().access_token
    backend.expire_access_tokens()
    new = backend.grant().access_token
    async with several() as clients, clients.client("oldest") as oldest, clients.client("younger") as younger:
        oldest.responders[REFRESH] = lambda _: {"result": {"accessToken": new, "chatgptAccountId": "org-1"}}
        thread = await oldest.start_thread()
        async with clients.client("supplier") as supplier:
            supplier.responders[REFRESH] = lambda _: None  # it never answers
            await supplier.login_with_tokens(old)
            turn = await oldest.start_turn(thread)
            await supplier.request(REFRESH)
        assert (await oldest.finished_turn(turn))["status"] == "completed"
        assert not younger.requests


async def test_a_tool_is_called_on_the_client_that_started_the_turn(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(output(function_call("lookup", {})), text("done"))
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await one.start_thread(dynamicTools=[LOOKUP])
        await one.result("thread/name/set", {"threadId": thread, "name": "ours"})
        await other.result("thread/resume", {"threadId": thread})
        other.responders[TOOL_CALL] = lambda _: tool_result("from the other")
        assert (await other.turn(thread))["status"] == "completed"
        assert outputs(backend) == ["from the other"]
        assert not one.requests


async def test_when_the_client_that_started_the_turn_leaves_one_that_follows_the_thread_is_asked(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(output(function_call("lookup", {})), text("done"))
    async with several() as clients, clients.client("stranger") as stranger, clients.client("follows") as follows:
        follows.responders[TOOL_CALL] = lambda _: tool_result("from who follows")
        await follows.login_with_tokens(backend.grant().access_token)
        thread = await follows.start_thread(dynamicTools=[LOOKUP])
        await follows.result("thread/name/set", {"threadId": thread, "name": "ours"})
        async with clients.client("starts") as starts:
            starts.responders[TOOL_CALL] = lambda _: None
            await starts.result("thread/resume", {"threadId": thread})
            turn = await starts.start_turn(thread)
            await starts.request(TOOL_CALL)
        assert (await follows.finished_turn(turn))["status"] == "completed"
        assert outputs(backend) == ["from who follows"]
        assert not stranger.requests


async def test_a_turn_whose_clients_have_all_left_does_not_wait_for_a_tool(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(output(function_call("lookup", {})), text("done without"))
    async with several() as clients:
        async with clients.client("starts") as starts:
            starts.responders[TOOL_CALL] = lambda _: None
            await starts.login_with_tokens(backend.grant().access_token)
            thread = await starts.start_thread(dynamicTools=[LOOKUP])
            await starts.start_turn(thread)
            await starts.request(TOOL_CALL)
        await backend.requests.wait_for("/v1/responses", count=2)
        assert outputs(backend) == ["item/tool/call: no client is connected that could be asked"]


async def test_each_client_speaks_to_the_backend_under_its_own_name(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        for peer in (one, other):
            await peer.turn(await peer.start_thread())
        assert [request.headers["originator"] for request in backend.requests.to("/v1/responses")] == ["one", "two"]


async def test_what_concerns_everybody_is_told_to_no_client_that_has_left_or_not_introduced_itself(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    async with several() as clients, clients.client("one") as one, clients.client(None) as silent:
        async with clients.client("left") as left:
            pass
        await one.login_with_tokens(backend.grant().access_token)
        await one.notification("account/updated")
        assert not left.notifications
        assert not silent.messages


async def test_all_clients_are_told_how_a_turn_ends_with_the_server(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    gate, running, ends = Gate(), anyio.Event(), anyio.Event()
    backend.script(stalled(gate, "never ends"))
    clients: House

    async def run() -> None:
        nonlocal clients
        async with several() as clients:
            running.set()
            await ends.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await running.wait()
        async with two(clients) as (one, other):
            await one.login_with_tokens(backend.grant().access_token)
            thread = await one.start_thread()
            await one.result("thread/name/set", {"threadId": thread, "name": "ours"})
            await other.result("thread/resume", {"threadId": thread})
            turn = await one.start_turn(thread)
            await gate.reached.wait()
            ends.set()
            for peer in (one, other):
                assert (await peer.finished_turn(turn))["status"] == "interrupted"
                await peer.ended()


async def test_a_client_does_not_see_the_tokens_that_another_has_supplied(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    token = backend.grant().access_token
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(token)
        asked = {"includeToken": True}
        assert (await one.result("getAuthStatus", asked))["authToken"] == token
        status = await other.result("getAuthStatus", asked)
        assert (status["authMethod"], status["authToken"]) == ("chatgptAuthTokens", None)
        await other.result("account/logout")
        await other.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test-1234567890"})
        for peer in (one, other):  # a key that is stored in the home belongs to its user
            assert (await peer.result("getAuthStatus", asked))["authToken"] == "sk-test-1234567890"


async def test_the_tokens_of_a_client_are_not_sent_to_a_provider_that_another_has_defined(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    provider = {"name": "Mine", "base_url": f"{backend.url}/v1", "requires_openai_auth": True}
    config = {"model_provider": "mine", "model_providers.mine": provider}
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await other.start_thread(config=config)
        await one.result("thread/resume", {"threadId": await named(other, thread)})
        for peer in (one, other):
            turn = await peer.turn(thread)
            assert turn["status"] == "failed"
            assert "not sent to a model provider that another has defined" in turn["error"]["message"]
        assert not backend.requests.to("/v1/responses")
        assert (await one.turn(await one.start_thread(config=config)))["status"] == "completed"
        assert (await other.turn(await other.start_thread(config={"model": "other"})))["status"] == "completed"


async def test_turns_that_clients_start_steer_and_interrupt_at_once_are_told_to_all_in_one_order(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    async with several() as clients, two(clients) as (one, other):
        await one.login_with_tokens(backend.grant().access_token)
        thread = await named(one, await one.start_thread())
        await other.result("thread/resume", {"threadId": thread})
        for number in range(10):
            gate = Gate()
            backend.script(stalled(gate, "thinking"), text("heard"), text("heard"))
            message = {"threadId": thread, "input": [{"type": "text", "text": f"message {number}"}]}
            for peer in (one, other):
                await peer.post("turn/start", message)
            turn = (await one.response(one.posted[-1].id))["result"]["turn"]["id"]
            for peer in (one, other):
                await peer.post("turn/steer", {**message, "expectedTurnId": turn})
                await peer.post("turn/interrupt", {"threadId": thread, "turnId": turn})
            for peer in (one, other):
                await peer.finished_turn(turn)
            gate.release()
        await one.result("account/read")
        await other.result("account/read")
        assert of_thread(one, thread) == of_thread(other, thread)


async def named(peer: Peer, thread: str) -> str:
    """Give a thread a name, so that it can be resumed before its first turn, and return its id."""
    await peer.result("thread/name/set", {"threadId": thread, "name": "ours"})
    return thread


def of_thread(peer: Peer, thread: str) -> list[Message]:
    """What a client was told of the turns in a thread."""
    return [
        note
        for note in peer.notifications
        if note["params"].get("threadId") == thread and note["method"].startswith(("turn/", "item/"))
    ]
