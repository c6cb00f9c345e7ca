"""Threads and turns on each store for threads that last, and on one that answers after 50 ms: alike, and in order."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.server.workspace import Workspace
from appserver.settings import load_settings
from appserver.testing import Gate, stalled
from tests.peer import house
from tests.threads.slow_store import SlowThreads
from tests.threads.stores.conftest import SHARED, postgres_of_all, shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from appserver.threads.stores.base import ThreadStore
    from tests.peer import House, Message, Peer

__all__ = ["postgres_of_all"]

pytestmark = pytest.mark.anyio

HELLO = [{"type": "text", "text": "Hello"}]


class Scene:
    """A workspace on a store, and a client in it that is signed in."""

    def __init__(self, house: House, workspace: Workspace, peer: Peer) -> None:
        self.house = house
        self.workspace = workspace
        self.peer = peer


@pytest.fixture(params=["slow", *SHARED])
async def scene(request: pytest.FixtureRequest, home: Path, backend: FakeBackend) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        if request.param == "slow":
            store: ThreadStore = SlowThreads()
        else:
            place = await stack.enter_async_context(shared(request, home))
            store = await place.open()
        running = await stack.enter_async_context(house(load_settings(backend.environ(home))))
        workspace = running.server.add(Workspace(running.server.runtime, threads=store))
        async with running.client("tests", workspace) as peer:
            await peer.login_with_tokens(backend.grant().access_token)
            yield Scene(running, workspace, peer)


async def together(peer: Peer, *requests: tuple[str, dict[str, Any]]) -> list[Message]:
    """Send requests in one piece, without waiting for answers, and return these."""
    names = [f"{len(peer.messages)}-{number}" for number in range(len(requests))]
    lines = [
        json.dumps({"id": name, "method": method, "params": params}).encode() + b"\n"
        for name, (method, params) in zip(names, requests, strict=True)
    ]
    await peer.send_raw(b"".join(lines))
    return [await peer.wait(lambda message, name=name: message.get("id") == name) for name in names]  # type: ignore[misc]  # a default in a lambda


async def item_types(peer: Peer, thread: str) -> list[str]:
    listed = await peer.result("thread/items/list", {"threadId": thread})
    return [one["item"]["type"] for one in listed["data"]]


async def test_a_thread_is_started_used_read_and_listed(scene: Scene) -> None:
    thread = await scene.peer.start_thread()
    turn = await scene.peer.turn(thread, "Hello")
    assert turn["status"] == "completed"
    assert await item_types(scene.peer, thread) == ["userMessage", "agentMessage"]
    read = (await scene.peer.result("thread/read", {"threadId": thread, "includeTurns": True}))["thread"]
    assert (read["preview"], [one["id"] for one in read["turns"]]) == ("Hello", [turn["id"]])
    assert [one["id"] for one in (await scene.peer.result("thread/list"))["data"]] == [thread]
    page = await scene.peer.result("thread/turns/list", {"threadId": thread})
    assert [one["id"] for one in page["data"]] == [turn["id"]]


async def test_a_thread_is_resumed_with_its_history(scene: Scene, backend: FakeBackend) -> None:
    thread = await scene.peer.start_thread()
    await scene.peer.turn(thread, "one")
    await scene.peer.result("thread/archive", {"threadId": thread})
    await scene.peer.result("thread/unarchive", {"threadId": thread})
    resumed = await scene.peer.result("thread/resume", {"threadId": thread})
    assert len(resumed["thread"]["turns"]) == 1
    await scene.peer.turn(thread, "two")
    sent = backend.requests.to("/v1/responses")[-1].json()["input"]
    assert [one["content"][0]["text"] for one in sent][::2] == ["one", "two"]


async def test_two_that_resume_a_thread_at_once_get_the_same_one(scene: Scene) -> None:
    thread = await scene.peer.start_thread()
    await scene.peer.turn(thread, "one")
    await scene.peer.result("thread/archive", {"threadId": thread})
    resume = ("thread/resume", {"threadId": thread})
    for answer in await together(scene.peer, resume, resume):
        assert answer["result"]["thread"]["id"] == thread
    changed = [one for one in scene.peer.messages if one.get("method") == "thread/status/changed"]
    assert [one["params"]["status"]["type"] for one in changed].count("idle") == 2  # after its turn, and once loaded
    await scene.peer.turn(thread, "two")
    assert len(await item_types(scene.peer, thread)) == 4


async def test_a_fork_goes_its_own_way(scene: Scene) -> None:
    thread = await scene.peer.start_thread()
    await scene.peer.turn(thread, "one")
    fork = (await scene.peer.result("thread/fork", {"threadId": thread}))["thread"]
    assert (fork["forkedFromId"], len(fork["turns"])) == (thread, 1)
    await scene.peer.turn(fork["id"], "two")
    assert (len(await item_types(scene.peer, fork["id"])), len(await item_types(scene.peer, thread))) == (4, 2)


@pytest.mark.parametrize("method", ["thread/archive", "thread/delete"])
async def test_a_thread_that_is_put_away_during_a_turn_ends_the_turn(
    scene: Scene, backend: FakeBackend, method: str
) -> None:
    backend.script(stalled(Gate(), "Half"))
    thread = await scene.peer.start_thread()
    turn = await scene.peer.start_turn(thread)
    await scene.peer.notification("item/agentMessage/delta")
    assert await scene.peer.result(method, {"threadId": thread}) == {}
    assert (await scene.peer.finished_turn(turn))["status"] == "interrupted"
    await scene.workspace.turns_ended()
    assert (await scene.peer.result("thread/loaded/list"))["data"] == []
    assert (await scene.peer.result("thread/list"))["data"] == []


async def test_a_turn_that_runs_is_reverted(scene: Scene, backend: FakeBackend) -> None:
    thread = await scene.peer.start_thread()
    await scene.peer.turn(thread, "one")
    backend.script(stalled(Gate(), "Half"))
    turn = await scene.peer.start_turn(thread, "two")
    await scene.peer.notification("item/agentMessage/delta", turnId=turn)
    await scene.peer.result("thread/revert", {"threadId": thread, "beforeTurnId": turn})
    assert await item_types(scene.peer, thread) == ["userMessage", "agentMessage"]
    assert (await scene.peer.turn(thread, "three"))["status"] == "completed"


async def test_an_interrupt_finds_a_turn_that_is_being_started(scene: Scene, backend: FakeBackend) -> None:
    backend.script(stalled(Gate(), "Half"))
    thread = await scene.peer.start_thread()
    started, interrupted = await together(
        scene.peer,
        ("turn/start", {"threadId": thread, "input": HELLO}),
        ("turn/interrupt", {"threadId": thread, "turnId": ""}),
    )
    assert interrupted["result"] == {}
    assert (await scene.peer.finished_turn(started["result"]["turn"]["id"]))["status"] == "interrupted"


async def test_a_message_is_put_to_a_turn_that_is_being_started(scene: Scene) -> None:
    thread_id = await scene.peer.start_thread()
    answers: list[Message] = []

    async def start() -> None:
        answers.extend(await together(scene.peer, ("turn/start", {"threadId": thread_id, "input": HELLO})))

    async with anyio.create_task_group() as group:
        group.start_soon(start)
        thread = scene.workspace.threads.get(thread_id)
        while thread.active is None:
            await anyio.lowlevel.checkpoint()
        steer = {"threadId": thread_id, "expectedTurnId": thread.active.id, "input": HELLO}
        assert await scene.peer.result("turn/steer", steer) == {"turnId": thread.active.id}
    await scene.peer.finished_turn(answers[0]["result"]["turn"]["id"])
    assert (await item_types(scene.peer, thread_id)).count("userMessage") == 2


async def test_requests_that_are_sent_together_see_the_effects_of_those_before(scene: Scene) -> None:
    thread = await scene.peer.start_thread()
    at = {"threadId": thread}
    await scene.peer.turn(thread, "one")
    (_, started, _, read, listed, turns) = await together(
        scene.peer,
        ("thread/settings/update", {**at, "model": "other-model"}),
        ("turn/start", {**at, "input": HELLO}),
        ("thread/name/set", {**at, "name": "Named"}),
        ("thread/read", at),
        ("thread/list", {}),
        ("thread/turns/list", at),
    )
    assert (read["result"]["thread"]["name"], read["result"]["thread"]["model"]) == ("Named", "other-model")
    assert listed["result"]["data"][0]["name"] == "Named"
    assert turns["result"]["data"][0]["id"] == started["result"]["turn"]["id"]
    await scene.peer.finished_turn(started["result"]["turn"]["id"])
    (_, archived, gone, _, loaded) = await together(
        scene.peer,
        ("thread/archive", at),
        ("thread/list", {"archived": True}),
        ("turn/start", {**at, "input": HELLO}),
        ("thread/resume", at),
        ("thread/loaded/list", {}),
    )
    assert [one["id"] for one in archived["result"]["data"]] == [thread]
    assert "thread not found" in gone["error"]["message"]
    assert loaded["result"]["data"] == [thread]


async def test_a_thread_that_has_been_started_is_loaded_for_the_next_request(scene: Scene) -> None:
    started, loaded = await together(scene.peer, ("thread/start", {}), ("thread/loaded/list", {}))
    assert loaded["result"]["data"] == [started["result"]["thread"]["id"]]


async def test_a_client_that_leaves_while_a_turn_is_being_started_leaves_nothing_half_done(scene: Scene) -> None:
    thread_id = await scene.peer.start_thread()
    async with scene.house.client("other", scene.workspace) as other:
        line = {"id": 1, "method": "turn/start", "params": {"threadId": thread_id, "input": HELLO}}
        await other.send(line)
        thread = scene.workspace.threads.get(thread_id)
        while thread.active is None:
            await anyio.lowlevel.checkpoint()
    turn = await scene.peer.notification("turn/completed")
    assert turn["turn"]["status"] == "completed"
    assert (await scene.peer.turn(thread_id, "again"))["status"] == "completed"
