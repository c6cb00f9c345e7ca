"""What becomes of a turn whose node is killed, or suspended for longer than its lease: scenes of the storm."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import anyio

from appserver.gateway.database.node import LEASE_SECONDS
from appserver.testing import Gate, stalled
from tests.gateway.websocket import WebSocketPeer, websocket_peer
from tests.processes import go_on, suspend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import Process

    from tests.gateway.storm import Nodes


class _Stopped(NamedTuple):
    """A turn of the first node, which does nothing more, and a client of the second one."""

    there: WebSocketPeer
    here: WebSocketPeer
    thread: str
    turn: str
    gate: Gate


async def killed_during_a_turn(nodes: Nodes) -> None:
    """The other node sees the turn as interrupted once the lease has run out, with what was told of it, and goes on."""
    async with _stopped_during_a_turn(nodes, lambda process: process.kill()) as found:
        items = (await found.there.result("thread/items/list", {"threadId": found.thread}))["data"]
        assert [one["item"]["type"] for one in items] == ["userMessage"]
        assert (await found.there.turn(found.thread, "two"))["status"] == "completed"
        await found.gate.abandoned.wait()


async def suspended_during_a_turn(nodes: Nodes) -> None:
    """A node that comes back after another has gone on in the thread writes nothing more of its turn."""
    async with _stopped_during_a_turn(nodes, suspend) as found:
        assert (await found.there.turn(found.thread, "two"))["status"] == "completed"
        go_on(nodes.processes[0])
        found.gate.release()
        failed = await found.here.finished_turn(found.turn)
        assert (failed["status"], failed["error"]["kind"]) == ("failed", "threadStoreUnavailable")
        turns = (await found.there.result("thread/turns/list", {"threadId": found.thread}))["data"]
        assert [one["status"] for one in turns] == ["completed", "interrupted"]
        assert (await found.here.turn(found.thread, "three"))["status"] == "completed"
        items = (await found.there.result("thread/items/list", {"threadId": found.thread}))["data"]
        assert "Half" not in str(items)
        assert len(items) == 5  # what the user said, three times, and what the model answered, twice


@asynccontextmanager
async def _stopped_during_a_turn(nodes: Nodes, stop: Callable[[Process], None]) -> AsyncIterator[_Stopped]:
    """Stop the first node while the model writes, and wait until the second one sees that."""
    gate = Gate()
    async with websocket_peer(nodes.urls[0]) as here, websocket_peer(nodes.urls[1]) as there:
        thread = await here.start_thread()
        nodes.backend.script(stalled(gate, "Half"))
        turn = await here.start_turn(thread, "one")
        await gate.reached.wait()
        await there.result("thread/resume", {"threadId": thread})
        started = {"threadId": thread, "input": [{"type": "text", "text": "two"}]}
        assert (await there.error("turn/start", started))["data"] == {"kind": "threadBusy", "activeTurnId": turn}
        stop(nodes.processes[0])
        with anyio.fail_after(5 * LEASE_SECONDS):
            while True:
                turns = (await there.result("thread/turns/list", {"threadId": thread}))["data"]
                assert turns[0]["id"] == turn
                if turns[0]["status"] == "interrupted":
                    break
                await anyio.sleep(0.05)  # nothing tells of the end of a lease
        yield _Stopped(there, here, thread, turn, gate)
