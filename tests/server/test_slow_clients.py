"""Several clients of which some are slow to read: the others do not notice, and memory stays bounded."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.rpc import outbox
from appserver.server import connection
from appserver.settings import load_settings
from appserver.testing import text
from appserver.testing.signals import WAIT_SECONDS
from appserver.transport import memory
from appserver.transport.framing import Oversized
from tests.peer import Peer, house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from appserver.testing import FakeBackend
    from appserver.transport.memory import MemoryTransport

pytestmark = pytest.mark.anyio

WORDS = tuple(f"{number:05} " * 60 for number in range(12_000))
"""More than four megabytes: more than a turn runs ahead of its only client."""

TURNS = 20


@pytest.fixture
def several(home: Path, backend: FakeBackend) -> Callable[[], Any]:
    """Start a server for several clients: `async with several() as clients`."""
    return lambda: house(load_settings(backend.environ(home)))


@pytest.fixture(autouse=True)
def _nothing_is_buffered_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BUFFERED_WRITES", 1)


class SlowPeer(Peer):
    """Reads only what it is told to read."""

    def __init__(self, transport: MemoryTransport) -> None:
        super().__init__(transport.send)
        self._transport = transport

    async def read_until(self, condition: Callable[[], bool]) -> None:
        """Read until a condition on what has arrived holds, or the server has closed its output."""
        while not condition() and (lines := await self._transport.receive()) is not None:
            for line in lines:
                assert not isinstance(line, Oversized)
                await self.take(line)


@asynccontextmanager
async def slow_client(clients: Any, thread: str) -> AsyncIterator[SlowPeer]:  # noqa: ANN401 - a House
    """Connect a client that follows a thread and then reads nothing."""
    transport = clients.connect()
    peer = SlowPeer(transport)
    try:
        await peer.post("initialize", {"clientInfo": {"name": "slow", "version": "1"}})
        await peer.send({"method": "initialized"})
        await peer.post("thread/resume", {"threadId": thread})
        await peer.read_until(lambda: len(peer.messages) >= 2)
        yield peer
    finally:
        transport.close()


def heard(peer: Peer) -> str:
    return "".join(
        note["params"]["delta"] for note in peer.notifications if note["method"] == "item/agentMessage/delta"
    )


async def named_thread(peer: Peer, backend: FakeBackend) -> str:
    await peer.login_with_tokens(backend.grant().access_token)
    thread = await peer.start_thread()
    await peer.result("thread/name/set", {"threadId": thread, "name": "ours"})
    return thread


async def test_a_turn_goes_as_fast_as_the_fastest_of_its_clients_reads_and_the_others_lose_nothing(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(text(*WORDS))
    async with several() as clients, clients.client("fast") as fast:
        thread = await named_thread(fast, backend)
        async with slow_client(clients, thread) as slow:
            turn = await fast.turn(thread)
            assert turn["status"] == "completed"
            await slow.read_until(lambda: "turn/completed" in slow.methods)
            assert heard(slow) == heard(fast) == "".join(WORDS)
            assert slow.methods.count("item/agentMessage/delta") < fast.methods.count("item/agentMessage/delta")


async def test_a_turn_whose_only_clients_do_not_read_goes_on_when_one_comes_that_does(
    several: Callable[[], Any], backend: FakeBackend
) -> None:
    backend.script(text(*WORDS))
    async with several() as clients, clients.client("fast") as fast:
        thread = await named_thread(fast, backend)
        async with slow_client(clients, thread) as one, slow_client(clients, thread):
            await fast.result("thread/unsubscribe", {"threadId": thread})
            turn = await fast.start_turn(thread)
            await anyio.wait_all_tasks_blocked()
            await fast.result("thread/resume", {"threadId": thread, "excludeTurns": True})
            assert (await fast.finished_turn(turn))["status"] == "completed"
            assert heard(fast) == "".join(WORDS)
            await one.read_until(lambda: "turn/completed" in one.methods)
            assert heard(one) == "".join(WORDS)


async def test_a_client_that_falls_too_far_behind_is_left_with_a_reason_and_the_others_go_on(
    several: Callable[[], Any], backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "LAG_BYTES", 128 * 1024)
    monkeypatch.setattr(outbox, "MAX_BYTES", 256 * 1024)
    monkeypatch.setattr(connection, "FLUSH_SECONDS", WAIT_SECONDS)  # it reads the reason after all the turns
    backend.script(*[text(*WORDS[:50]) for _ in range(TURNS)])
    async with several() as clients, clients.client("fast") as fast:
        thread = await named_thread(fast, backend)
        async with slow_client(clients, thread) as slow:
            for _ in range(TURNS):
                assert (await fast.turn(thread))["status"] == "completed"
            await slow.read_until(lambda: False)
            assert slow.notifications[-1]["method"] == "warning"
            assert "the connection was closed: the client has not read" in slow.notifications[-1]["params"]["message"]
            assert "slow: the connection was closed" in caplog.text
        assert len(heard(fast)) == TURNS * len("".join(WORDS[:50]))
