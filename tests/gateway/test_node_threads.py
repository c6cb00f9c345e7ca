"""Two nodes on one database have the same threads, and one of them runs a turn in each at a time."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import RESPONSES, Running, managed, running_gateway, sign_in
from tests.gateway.websocket import websocket_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


class Nodes(NamedTuple):
    """Two nodes, and a client of one user at each."""

    one: Running
    other: Running
    here: Peer
    there: Peer


@pytest.fixture
async def nodes(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Nodes]:
    async with (
        running_gateway(backend, home, backend.grant(), database_url=database_url) as one,
        running_gateway(backend, home, database_url=database_url) as other,
        websocket_peer(one.url) as here,
        websocket_peer(other.url) as there,
    ):
        yield Nodes(one, other, here, there)


def asked(backend: FakeBackend) -> list[str]:
    """Return what the user has said, as the model was told it last."""
    items = backend.requests.to(RESPONSES)[-1].json()["input"]
    return [one["content"][0]["text"] for one in items if one.get("role") == "user"]


async def listed(peer: Peer, **params: object) -> list[str]:
    return [one["id"] for one in (await peer.result("thread/list", params))["data"]]


async def test_a_thread_of_one_node_is_listed_read_resumed_and_continued_on_the_other(
    nodes: Nodes, backend: FakeBackend
) -> None:
    thread = await nodes.here.start_thread(model="gpt-6-sol", developerInstructions="Rhyme.")
    await nodes.here.result("thread/name/set", {"threadId": thread, "name": "Rhymes"})
    turn = await nodes.here.turn(thread, "one")
    assert await listed(nodes.there, searchTerm="rhymes") == [thread]
    read = (await nodes.there.result("thread/read", {"threadId": thread, "includeTurns": True}))["thread"]
    assert (read["preview"], read["name"], [one["id"] for one in read["turns"]]) == ("one", "Rhymes", [turn["id"]])
    items = await nodes.there.result("thread/items/list", {"threadId": thread})
    assert items == await nodes.here.result("thread/items/list", {"threadId": thread})
    resumed = await nodes.there.result("thread/resume", {"threadId": thread})
    assert [one["id"] for one in resumed["thread"]["turns"]] == [turn["id"]]
    await nodes.there.turn(thread, "two")
    assert asked(backend) == ["one", "two"]
    await nodes.here.turn(thread, "three")
    assert asked(backend) == ["one", "two", "three"]
    assert "Rhyme." in str(backend.requests.to(RESPONSES)[-1].json())


async def test_what_one_node_changes_of_a_thread_holds_on_the_other(nodes: Nodes) -> None:
    thread = await nodes.here.start_thread()
    first, second = await nodes.here.turn(thread, "one"), await nodes.here.turn(thread, "two")
    fork = (await nodes.there.result("thread/fork", {"threadId": thread, "lastTurnId": first["id"]}))["thread"]["id"]
    assert await listed(nodes.here) == [fork, thread]
    await nodes.there.result("thread/resume", {"threadId": thread})
    await nodes.there.result("thread/revert", {"threadId": thread, "beforeTurnId": second["id"]})
    turns = await nodes.here.result("thread/turns/list", {"threadId": thread})
    assert [one["id"] for one in turns["data"]] == [first["id"]]
    await nodes.there.result("thread/archive", {"threadId": thread})
    assert (await listed(nodes.here), await listed(nodes.here, archived=True)) == ([fork], [thread])
    await nodes.there.result("thread/delete", {"threadId": thread})
    for method in ("thread/read", "thread/turns/list"):
        assert (await nodes.here.error(method, {"threadId": thread}))["data"] == {"kind": "threadNotFound"}
    started = {"threadId": thread, "input": [{"type": "text", "text": "three"}]}
    assert (await nodes.here.error("turn/start", started))["data"] == {"kind": "threadNotFound"}


async def test_pages_go_on_from_one_node_to_the_other(nodes: Nodes) -> None:
    threads = [await nodes.here.start_thread() for _ in range(5)]
    for thread in threads:
        await nodes.here.turn(thread, "Hello")
    for sort_key in ("created_at", "updated_at"):
        seen: list[str] = []
        cursor, peers = None, [nodes.here, nodes.there]
        while cursor is not None or not seen:
            page = await peers[0].result("thread/list", {"limit": 2, "cursor": cursor, "sortKey": sort_key})
            seen += [one["id"] for one in page["data"]]
            cursor = page["nextCursor"]
            peers.reverse()
            if len(seen) == 2:
                await nodes.there.result("thread/name/set", {"threadId": threads[0], "name": "Touched"})
        assert sorted(seen) == sorted(threads)


async def test_while_one_node_runs_a_turn_the_other_starts_none(nodes: Nodes, backend: FakeBackend) -> None:
    gate = Gate()
    thread = await nodes.here.start_thread()
    await nodes.there.result("thread/resume", {"threadId": thread})
    backend.script(stalled(gate, "Half", "whole"))
    turn = await nodes.here.start_turn(thread, "one")
    await gate.reached.wait()
    turns = await nodes.there.result("thread/turns/list", {"threadId": thread})
    assert [(one["id"], one["status"]) for one in turns["data"]] == [(turn, "inProgress")]
    refused: list[tuple[str, dict[str, Any]]] = [
        ("turn/start", {"input": [{"type": "text", "text": "two"}]}),
        ("thread/revert", {"beforeTurnId": turn}),
        ("thread/compact/start", {}),
    ]
    for method, params in refused:
        error = await nodes.there.error(method, {"threadId": thread, **params})
        assert error["data"] == {"kind": "threadBusy", "activeTurnId": turn}, method
    gate.release()
    assert (await nodes.here.finished_turn(turn))["status"] == "completed"
    assert (await nodes.there.turn(thread, "two"))["status"] == "completed"
    assert asked(backend) == ["one", "two"]


async def test_over_post_a_thread_needs_not_be_loaded_on_the_node_that_is_asked(
    nodes: Nodes, backend: FakeBackend
) -> None:
    clients, number = [nodes.one.http, nodes.other.http], count(1)

    async def call(method: str, **params: object) -> Any:  # noqa: ANN401 - whatever the method returns
        clients.reverse()
        request = {"jsonrpc": "2.0", "id": next(number), "method": method, "params": params}
        answer = (await clients[0].post("/jsonrpc", json=request)).json()
        assert "result" in answer, (method, answer)
        return answer["result"]

    async def turn(thread_id: str, text: str) -> str:
        told: str = (await call("turn/start", threadId=thread_id, input=[{"type": "text", "text": text}]))["turn"]["id"]
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                if (await call("thread/turns/list", threadId=thread_id))["data"][0]["status"] == "completed":
                    return told
                await anyio.sleep(0.01)  # there is no notification over POST

    thread_id = (await call("thread/start"))["thread"]["id"]
    await turn(thread_id, "one")
    await turn(thread_id, "two")
    last = await turn(thread_id, "three")
    assert asked(backend) == ["one", "two", "three"]
    await call("thread/settings/update", threadId=thread_id, model="gpt-6-sol")
    await call("thread/revert", threadId=thread_id, beforeTurnId=last)
    await call("thread/inject_items", threadId=thread_id, items=[message("four")])
    await call("thread/read", threadId=thread_id)
    await turn(thread_id, "five")
    assert asked(backend) == ["one", "two", "four", "five"]
    unknown = {"jsonrpc": "2.0", "id": 1, "method": "turn/start", "params": {"threadId": "x", "input": []}}
    for client in clients:
        assert (await client.post("/jsonrpc", json=unknown)).json()["error"]["data"] == {"kind": "threadNotFound"}


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_another_users_thread_is_on_no_node_what_it_is_on_the_first(nodes: Nodes) -> None:
    await sign_in(nodes.one.gateway, managed(nodes.one.backend.grant(account="org-2", user="user-2")), "ben")
    _, key = await nodes.one.gateway.accounts.add_key(await nodes.one.gateway.user_id("ben"), ["rpc"])
    thread = await nodes.here.start_thread()
    await nodes.here.turn(thread, "one")
    async with websocket_peer(nodes.other.url, key.reveal()) as ben:
        assert await listed(ben) == []
        for method in ("thread/read", "thread/resume", "thread/fork", "thread/delete", "thread/archive"):
            assert (await ben.error(method, {"threadId": thread}))["data"] == {"kind": "threadNotFound"}, method
    assert await listed(nodes.there) == [thread]


async def test_a_node_that_ends_leaves_its_turns_to_the_others_at_once(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    gate = Gate()
    async with running_gateway(backend, home, backend.grant(), database_url=database_url) as other:
        async with (
            running_gateway(backend, home, database_url=database_url, shutdown=0.1) as one,
            websocket_peer(one.url) as here,
        ):
            thread = await here.start_thread()
            backend.script(stalled(gate, "Half"))
            turn = await here.start_turn(thread, "one")
            await gate.reached.wait()
        async with websocket_peer(other.url) as there:
            resumed = (await there.result("thread/resume", {"threadId": thread}))["thread"]
            assert [(one["id"], one["status"]) for one in resumed["turns"]] == [(turn, "interrupted")]
            assert (await there.turn(thread, "two"))["status"] == "completed"
