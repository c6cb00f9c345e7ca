"""A client that stops reading while the model writes: our memory stays bounded, and all of the text arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.testing import Message, output
from appserver.transport.framing import LineSplitter
from tests.peer import Peer
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from anyio.abc import Process

    from appserver.testing import FakeBackend
    from appserver.testing.replies import Event

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the memory from /proc"),
]

DELTAS = 60_000
DELTA = "x" * 400
MAX_MEMORY_MIB = 150
WAIT_SECONDS = 120.0
STILL_SECONDS = 0.5


@dataclass(frozen=True)
class CountedMessage(Message):
    """A message that notes how many of its events have been asked for: the backend asks when it can send one."""

    sent: list[int] = field(default_factory=lambda: [0])

    def events(self, item_id: str, index: int) -> Iterator[Event]:
        for event in super().events(item_id, index):
            self.sent[0] += 1
            yield event


class Reader:
    """Reads a process's output, when it is told to."""

    def __init__(self, process: Process, peer: Peer) -> None:
        self.reads = anyio.Event()
        self.turn_ended = anyio.Event()
        self._process = process
        self._peer = peer

    async def run(self) -> None:
        splitter = LineSplitter(max_bytes=2**30)
        assert self._process.stdout is not None
        async for chunk in self._process.stdout:
            for line in splitter.feed(chunk):
                assert isinstance(line, bytes)
                await self._peer.take(line)
                if b'"turn/completed"' in line[:100]:
                    self.turn_ended.set()
            await self.reads.wait()


@asynccontextmanager
async def started(environ: Mapping[str, str]) -> AsyncIterator[tuple[Peer, Reader, int]]:
    command = [sys.executable, "-m", "appserver", "app-server"]
    process = await anyio.open_process(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        peer = Peer(process.stdin.send)
        reader = Reader(process, peer)
        reader.reads.set()
        async with anyio.create_task_group() as group:
            group.start_soon(reader.run)
            await peer.initialize()
            yield peer, reader, process.pid
            group.cancel_scope.cancel()
    finally:
        await kill(process)


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def nothing_more_is_sent(message: CountedMessage) -> None:
    """Wait until the backend has sent everything, or nothing for a while: there is no event for being blocked."""
    while message.sent[0] < DELTAS:
        before = message.sent[0]
        await anyio.sleep(STILL_SECONDS)
        if message.sent[0] == before:
            return


async def test_memory_stays_bounded_and_no_text_is_lost(home: Path, backend: FakeBackend) -> None:
    answer = CountedMessage((DELTA,) * DELTAS)
    backend.script(output(answer))
    async with started({**os.environ, **backend.environ(home)}) as (peer, reader, pid):
        await peer.login_with_tokens(backend.grant().access_token)
        turn_id = await peer.start_turn(await peer.start_thread())
        reader.reads = anyio.Event()
        with anyio.fail_after(WAIT_SECONDS):
            await nothing_more_is_sent(answer)
            assert answer.sent[0] < DELTAS, "the backend was not held back"
            reader.reads.set()
            await reader.turn_ended.wait()
        turn = await peer.finished_turn(turn_id)
        assert turn["items"][-1]["text"] == DELTA * DELTAS
        told = [note["params"]["delta"] for note in peer.notifications if note["method"] == "item/agentMessage/delta"]
        assert "".join(told) == DELTA * DELTAS
        assert peak_mib(pid) < MAX_MEMORY_MIB
