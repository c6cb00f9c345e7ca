"""A turn is interrupted and steered on whichever node it runs, wherever the client has come."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from appserver.gateway import forwarded, forwarding
from appserver.gateway.database.engine import Database
from appserver.gateway.database.node import LEASE_SECONDS
from appserver.gateway.database.schema import nodes, users
from appserver.gateway.database.threads.schema import Key, forwarded_requests, threads
from appserver.gateway.forwarding import Forwarding
from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from protocol.error_codes import SERVER_OVERLOADED
from tests.gateway.failing import Failing
from tests.gateway.rig import Running, managed, running_gateway, sign_in
from tests.gateway.websocket import websocket_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import TaskGroup

    from appserver.gateway.forwarded import Forwarded, Respond
    from appserver.testing import FakeBackend
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


class Scene(NamedTuple):
    """A turn that runs on one node, which a client of that node follows; and another node."""

    one: Running
    other: Running
    here: Peer
    there: Peer
    thread: str
    turn: str
    gate: Gate

    async def post(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method at the other node."""
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"threadId": self.thread, **params}}
        response: dict[str, Any] = (await self.other.http.post("/jsonrpc", content=json.dumps(request))).json()
        assert response["id"] == 7
        return response

    async def steer(self, text: str) -> dict[str, Any]:
        """Steer the turn at the other node."""
        return await self.post("turn/steer", expectedTurnId=self.turn, input=[{"type": "text", "text": text}])

    def told(self) -> list[str]:
        """Return what the model was told of the user, as of the latest request to it."""
        sent = self.one.asked.json()["input"]
        return [one["content"][0]["text"] for one in sent if one.get("role") == "user"]

    async def requests_left(self) -> int:
        count = sa.select(sa.func.count()).select_from(forwarded_requests)
        async with self.one.gateway.database.reading() as connection:
            return int((await connection.execute(count)).scalar_one())


@pytest.fixture
async def scene(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Scene]:
    async with running_scene(backend, home, database_url) as running:
        yield running


@asynccontextmanager
async def running_scene(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Scene]:
    gate = Gate()
    async with (
        running_gateway(backend, home, backend.grant(), database_url=database_url) as one,
        running_gateway(backend, home, database_url=database_url) as other,
        websocket_peer(one.url) as here,
        websocket_peer(other.url) as there,
    ):
        thread = await here.start_thread()
        backend.script(stalled(gate, "Half", "whole"))
        turn = await here.start_turn(thread, "one")
        await gate.reached.wait()
        yield Scene(one, other, here, there, thread, turn, gate)
        gate.release()


async def test_a_post_to_another_node_interrupts_a_turn(scene: Scene) -> None:
    assert (await scene.post("turn/interrupt", turnId=scene.turn))["result"] == {}
    assert (await scene.here.finished_turn(scene.turn))["status"] == "interrupted"
    assert await scene.requests_left() == 0


async def test_a_client_of_a_websocket_interrupts_a_turn_of_another_node(scene: Scene) -> None:
    await scene.there.result("thread/resume", {"threadId": scene.thread})
    assert await scene.there.result("turn/interrupt", {"threadId": scene.thread, "turnId": ""}) == {}
    assert (await scene.here.finished_turn(scene.turn))["status"] == "interrupted"


async def test_a_turn_of_another_node_is_steered(scene: Scene) -> None:
    text = "two \0 \U0001f642"
    assert (await scene.steer(text))["result"] == {"turnId": scene.turn}
    scene.gate.release()
    assert (await scene.here.finished_turn(scene.turn))["status"] == "completed"
    assert scene.told() == ["one", text]


async def test_what_the_other_node_refuses_is_told_in_its_words(scene: Scene) -> None:
    for method, params in (
        ("turn/interrupt", {"turnId": "another"}),
        ("turn/steer", {"expectedTurnId": "another", "input": [{"type": "text", "text": "two"}]}),
        ("turn/steer", {"expectedTurnId": scene.turn, "input": []}),
    ):
        own = await scene.here.error(method, {"threadId": scene.thread, **params})
        assert (await scene.post(method, **params))["error"] == own
    assert await scene.requests_left() == 0


async def test_what_may_not_come_over_http_is_not_forwarded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forwarding, "_ask", None)
    file = [{"type": "localImage", "path": "/etc/passwd"}]
    told = await scene.post("turn/steer", expectedTurnId=scene.turn, input=file)
    assert "only text and image over HTTP" in told["error"]["message"]


@pytest.mark.parametrize("thread", ["a\0b", "a\ud800b", "\U0001f642" * 1000])
async def test_a_thread_id_that_no_thread_can_have_is_not_found(scene: Scene, thread: str) -> None:
    params = {"threadId": thread, "turnId": ""}
    own = await scene.here.error("turn/interrupt", params)
    assert (await scene.post("turn/interrupt", **params))["error"] == own
    assert own["message"].startswith("thread not found")


async def test_where_no_turn_runs_nothing_is_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.here.result("turn/interrupt", {"threadId": scene.thread, "turnId": scene.turn})
    await scene.here.finished_turn(scene.turn)
    await scene.there.result("thread/resume", {"threadId": scene.thread})
    monkeypatch.setattr(Database, "writing", None)
    assert "no active turn" in (await scene.post("turn/interrupt", turnId=scene.turn))["error"]["message"]


async def test_where_no_turn_runs_a_request_is_answered_as_on_one_node_alone(scene: Scene) -> None:
    await scene.here.result("turn/interrupt", {"threadId": scene.thread, "turnId": scene.turn})
    await scene.here.finished_turn(scene.turn)
    steer = {"threadId": scene.thread, "expectedTurnId": scene.turn, "input": [{"type": "text", "text": "two"}]}
    await scene.there.result("thread/resume", {"threadId": scene.thread})
    for method, params in (("turn/interrupt", {"threadId": scene.thread, "turnId": scene.turn}), ("turn/steer", steer)):
        assert await scene.there.error(method, params) == await scene.here.error(method, params)
        unknown = {**params, "threadId": "unknown"}
        assert await scene.there.error(method, unknown) == await scene.here.error(method, unknown)


async def test_another_user_interrupts_no_turn(scene: Scene, backend: FakeBackend) -> None:
    await sign_in(scene.one.gateway, managed(backend.grant(account="org-2", user="user-2")), "ben")
    _, key = await scene.one.gateway.accounts.add_key(await scene.one.gateway.user_id("ben"), ["rpc"])
    for node in (scene.one, scene.other):
        async with websocket_peer(node.url, key.reveal()) as ben:
            params = {"threadId": scene.thread, "turnId": scene.turn}
            error = await ben.error("turn/interrupt", params)
            assert error == await ben.error("turn/interrupt", {**params, "threadId": "unknown"}) | {
                "message": f"thread not found: {scene.thread}"
            }
    scene.gate.release()
    assert (await scene.here.finished_turn(scene.turn))["status"] == "completed"


async def test_a_node_that_does_not_respond_is_waited_for_within_a_bound(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "RESPONSE_SECONDS", 0.3)
    async with scene.one.gateway.database.writing() as connection:
        until = scene.one.gateway.database.now + LEASE_SECONDS
        await connection.execute(sa.insert(nodes).values(id="suspended", until=until))
        await connection.execute(sa.update(threads).values(owner="suspended"))
    error = (await scene.post("turn/interrupt", turnId=scene.turn))["error"]
    assert error["message"] == "the node that runs the turn does not respond"
    assert error["data"] == {"kind": "threadStoreUnavailable"}
    assert await scene.requests_left() == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_a_request_that_comes_as_the_turn_ends_is_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    look_every(monkeypatch, 1.0)  # time enough for the turn to end before anybody looks
    if fails:
        fail_once(monkeypatch, scene.one.gateway.forwarded, "_take")
    answers: list[dict[str, Any]] = []

    async def ask() -> None:
        answers.append(await scene.steer("two"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while not answers and not await scene.requests_left():
            await anyio.lowlevel.checkpoint()
        await scene.here.call("turn/interrupt", {"threadId": scene.thread, "turnId": scene.turn})
    [answer] = answers
    assert answer.get("result") == {"turnId": scene.turn} or answer["error"]["message"] == "no active turn to steer"


async def test_many_requests_for_other_nodes_are_each_answered_once(
    scene: Scene, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_every(monkeypatch, 0.001)  # again and again while they are being answered
    answers: list[dict[str, Any]] = []
    backend.script(*(stalled(scene.gate, "Well") for _ in range(20)))  # a message ends a response

    async def steer(number: int) -> None:
        answers.append(await scene.steer(str(number)))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(steer, number)
    assert [one.get("result", one) for one in answers] == [{"turnId": scene.turn}] * 20
    scene.gate.release()
    assert (await scene.here.finished_turn(scene.turn))["status"] == "completed"
    assert sorted(scene.told()[1:], key=int) == [str(number) for number in range(20)]


async def test_a_look_that_fails_is_followed_by_another(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = (
        fail_once(monkeypatch, scene.one.gateway.forwarded, "_take"),
        fail_once(monkeypatch, scene.other.gateway.forwarding, "_read_responses"),
    )
    assert (await scene.post("turn/interrupt", turnId=scene.turn))["result"] == {}
    assert all(one.is_set() for one in failed)


async def test_a_response_that_cannot_be_written_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Failing(scene.one.gateway.database)
    monkeypatch.setattr(scene.one.gateway.forwarded, "_database", database)
    assert (await scene.steer("two"))["result"] == {"turnId": scene.turn}
    assert database.failed == 1


async def test_a_request_that_cannot_be_removed_loses_no_response_and_is_removed_later(
    scene: Scene, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Forwarding._remove
    backend.script(stalled(scene.gate, "Well"), stalled(scene.gate, "Well"))  # a message ends a response

    async def removed_from_a_failing_database(self: Forwarding, request_id: str) -> None:
        monkeypatch.setattr(self, "_database", Failing(self._database))
        await remove(self, request_id)

    with monkeypatch.context() as context:
        context.setattr(Forwarding, "_remove", removed_from_a_failing_database)
        assert (await scene.steer("two"))["result"] == {"turnId": scene.turn}
    assert await scene.requests_left() == 1
    async with scene.one.gateway.database.writing() as connection:
        await connection.execute(sa.update(forwarded_requests).values(asked_at=0.0))
    assert (await scene.steer("two"))["result"] == {"turnId": scene.turn}
    assert await scene.requests_left() == 0


@pytest.mark.parametrize("left", [-1.0, 0.5])
async def test_a_request_for_which_nobody_waits_any_more_is_not_answered(scene: Scene, left: float) -> None:
    """It came too late, or what came before it took too long."""
    late = {"threadId": scene.thread, "expectedTurnId": scene.turn, "input": [{"type": "text", "text": "late"}]}
    request = {"jsonrpc": "2.0", "id": "late", "method": "turn/steer", "params": late}
    database = scene.one.gateway.database
    key = Key(await scene.one.gateway.user_id("default"), scene.thread)
    async with database.writing() as connection:
        row = {"id": "late", "node_id": scene.one.gateway.node.id, "thread_id": scene.thread, "number": 0}
        row |= {"user_id": key.user_id, "request": json.dumps(request)}
        long_ago = database.now - forwarding.RESPONSE_SECONDS + left
        await connection.execute(sa.insert(forwarded_requests).values(**row, asked_at=long_ago))
    async with scene.one.gateway.forwarded._answering.setdefault(key, anyio.Lock()):
        await anyio.sleep(max(left, 0.0))  # the time that was left is what this is about
    assert (await scene.steer("two"))["result"] == {"turnId": scene.turn}
    scene.gate.release()
    await scene.here.finished_turn(scene.turn)
    assert scene.told() == ["one", "two"]


async def test_a_client_may_not_have_any_number_of_requests_wait(
    scene: Scene, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "MAX_OF_USER", 3)
    backend.script(*(stalled(scene.gate, "Well") for _ in range(3)))  # a message ends a response
    answers: list[dict[str, Any]] = []
    take, two_are_answered = scene.one.gateway.forwarded._take, anyio.Event()

    async def take_later(group: TaskGroup, respond: Respond) -> bool:
        await two_are_answered.wait()
        return await take(group, respond)

    monkeypatch.setattr(scene.one.gateway.forwarded, "_take", take_later)

    async def steer(number: int) -> None:
        answers.append(await scene.steer(str(number)))
        if len(answers) == 2:
            two_are_answered.set()

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(steer, number)
    refused = [one["error"] for one in answers if "error" in one]
    assert [one["code"] for one in refused] == [SERVER_OVERLOADED] * 2
    assert sum(one.get("result") == {"turnId": scene.turn} for one in answers) == 3
    assert (await scene.post("turn/interrupt", turnId=scene.turn))["result"] == {}


async def test_what_a_client_says_to_a_turn_of_another_node_arrives_in_its_order(
    scene: Scene, backend: FakeBackend
) -> None:
    await scene.there.result("thread/resume", {"threadId": scene.thread})
    backend.script(*(stalled(scene.gate, "Well") for _ in range(20)))  # a message ends a response
    steers = [{"expectedTurnId": scene.turn, "input": [{"type": "text", "text": str(number)}]} for number in range(20)]
    async with anyio.create_task_group() as group:
        for steer in steers:
            group.start_soon(scene.there.result, "turn/steer", {"threadId": scene.thread, **steer})
    scene.gate.release()
    await scene.here.finished_turn(scene.turn)
    assert scene.told()[1:] == [str(number) for number in range(20)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite locks no rows
async def test_a_request_is_written_down_beside_what_holds_the_row_of_its_user(scene: Scene) -> None:
    """The removal of a user does, and waits for the rows of its threads: neither may wait for the other."""
    database = scene.one.gateway.database
    async with anyio.create_task_group() as group, database.writing() as connection:
        await connection.execute(sa.select(users.c.id).with_for_update())
        group.start_soon(partial(scene.post, "turn/interrupt", turnId=scene.turn))
        with anyio.fail_after(WAIT_SECONDS):
            while not await scene.requests_left():
                await anyio.lowlevel.checkpoint()
    assert (await scene.here.finished_turn(scene.turn))["status"] == "interrupted"


def look_every(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let both kinds of looks at the database come so often."""
    for module in (forwarding, forwarded):
        monkeypatch.setattr(module, "LOOK_SECONDS", seconds)


def fail_once(monkeypatch: pytest.MonkeyPatch, of: Forwarding | Forwarded, name: str) -> anyio.Event:
    """Let a look at the database fail. Returns what tells that it has."""
    method, failed = getattr(of, name), anyio.Event()

    async def fails(*args: object) -> object:
        if failed.is_set():
            return await method(*args)
        failed.set()
        raise sa.exc.OperationalError("", {}, OSError())

    monkeypatch.setattr(of, name, fails)
    return failed
