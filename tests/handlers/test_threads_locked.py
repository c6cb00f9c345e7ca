"""A server whose threads.db another process keeps locked: what needs it waits, and nothing else does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from appserver.testing import Gate, stalled
from tests.threads.records import locked

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


async def used_thread(peer: Peer, backend: FakeBackend) -> str:
    await peer.login_with_tokens(backend.grant().access_token)
    thread_id = await peer.start_thread()
    await peer.turn(thread_id)
    return thread_id


async def test_accounts_and_what_only_reads_are_answered_while_the_database_is_locked(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        thread_id = await used_thread(peer, backend)
        with locked(home / "threads.db"):
            waiting = await peer.post("thread/start", {})
            assert (await peer.result("account/read"))["account"]["type"] == "chatgpt"
            assert [one["id"] for one in (await peer.result("thread/list"))["data"]] == [thread_id]
            read = await peer.result("thread/read", {"threadId": thread_id, "includeTurns": True})
            assert len(read["thread"]["turns"]) == 1
            assert not [message for message in peer.messages if message.get("id") == waiting]
        assert "result" in await peer.response(waiting)


async def test_requests_that_wait_are_answered_in_order_once_the_lock_is_free(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        thread_id = await used_thread(peer, backend)
        with locked(home / "threads.db"):
            names = [await peer.post("thread/name/set", {"threadId": thread_id, "name": name}) for name in "abc"]
            await peer.result("account/read")
        for request_id in names:
            assert (await peer.response(request_id))["result"] == {}
        told = [note["params"]["threadName"] for note in peer.notifications if note["method"] == "thread/name/updated"]
        assert told == ["a", "b", "c"]
        assert (await peer.result("thread/read", {"threadId": thread_id}))["thread"]["name"] == "c"


async def test_a_request_that_has_waited_is_refused_in_the_same_words(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        await used_thread(peer, backend)
        with locked(home / "threads.db"):
            waiting = await peer.post("thread/name/set", {"threadId": "gone", "name": "x"})
            await peer.result("account/read")
        error = (await peer.response(waiting))["error"]
        assert error == await peer.error("thread/name/set", {"threadId": "gone", "name": "x"})


async def test_a_turn_that_is_started_while_the_database_is_locked_runs_afterwards(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        thread_id = await used_thread(peer, backend)
        params = {"threadId": thread_id, "input": [{"type": "text", "text": "go"}]}
        with locked(home / "threads.db"):
            started = [await peer.post("turn/start", params) for _ in range(2)]
            await peer.result("account/read")
        turns = [(await peer.response(request_id))["result"]["turn"]["id"] for request_id in started]
        assert turns[0] == turns[1], "the second one is heard in the first one's turn"
        assert (await peer.finished_turn(turns[0]))["status"] == "completed"
        answered = [message.get("id") for message in peer.messages].index(started[0])
        told = [message.get("method") for message in peer.messages[answered:]]
        assert told.count("turn/started") == 1, "a client knows of a turn before it is told of what happens in it"


async def test_a_turn_survives_a_lock_that_is_shorter_than_the_bound(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        thread_id = await used_thread(peer, backend)
        gate = Gate()
        backend.model.script(stalled(gate, "well"))
        turn_id = await peer.start_turn(thread_id, "go")
        await peer.notification("item/agentMessage/delta", turnId=turn_id)
        with locked(home / "threads.db"):
            gate.release()
            await peer.result("account/read")
            assert not [one for one in peer.notifications[-1:] if one["method"] == "turn/completed"]
        assert (await peer.finished_turn(turn_id))["status"] == "completed"
        items = (await peer.result("thread/items/list", {"threadId": thread_id, "turnId": turn_id}))["data"]
        assert [one["item"]["type"] for one in items] == ["userMessage", "agentMessage"]


async def test_a_shutdown_waits_for_no_lock(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    lock = ExitStack()
    async with server() as peer:
        thread_id = await used_thread(peer, backend)
        backend.model.script(stalled(Gate(), "well"))
        turn_id = await peer.start_turn(thread_id, "go")
        await peer.notification("item/agentMessage/delta", turnId=turn_id)
        lock.enter_context(locked(home / "threads.db"))
        waiting = await peer.post("thread/start", {})
        await peer.result("account/read")
    lock.close()
    turn = await peer.finished_turn(turn_id)
    assert turn["error"]["kind"] == "threadStoreBusy", "its last words could not be written"
    assert (await peer.response(waiting))["error"]["data"] == {"kind": "threadStoreBusy"}
