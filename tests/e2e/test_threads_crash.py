"""A server that is killed in the middle of turns, a hundred times: nothing that was told is lost, nothing hangs."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.testing import message, output, reasoning
from appserver.transport.framing import LineSplitter, Oversized
from tests.peer import WAIT_SECONDS, Peer
from tests.processes import kill_by_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the nursery forks its servers"),
]

ROUNDS = 100
MESSAGES_OF_A_TURN = 14
"""About as many as the server sends for one; a round is killed after some of them."""


@asynccontextmanager
async def nursery(environ: dict[str, str]) -> AsyncIterator[str]:
    """Run a nursery and return the path of its socket."""
    with tempfile.TemporaryDirectory() as directory:  # a short path: that of a socket may not be long
        path = os.path.join(directory, "s")
        command = [sys.executable, str(Path(__file__).with_name("nursery.py")), path]
        root = str(Path(__file__).parents[2])
        variables = {**os.environ, **environ, "PYTHONPATH": root}
        async with await anyio.open_process(command, env=variables, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            with anyio.fail_after(WAIT_SECONDS):
                assert await process.stdout.receive() == b"ready\n"
            yield path
            process.kill()


@asynccontextmanager
async def born(path: str) -> AsyncIterator[tuple[Peer, int]]:
    """Start a server in the nursery and connect a peer to it. It may be killed meanwhile."""
    async with await anyio.connect_unix(path) as stream, anyio.create_task_group() as group:
        splitter = LineSplitter()
        lines = splitter.feed(await stream.receive())
        assert isinstance(lines[0], bytes)
        peer = Peer(stream.send)

        async def read() -> None:
            try:
                while True:
                    for line in splitter.feed(await stream.receive()):
                        assert not isinstance(line, Oversized)
                        await peer.take(line)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                peer.close()

        group.start_soon(read)
        await peer.initialize()
        yield peer, int(lines[0])
        group.cancel_scope.cancel()


async def run_until_killed(peer: Peer, process: int, thread_id: str, dice: random.Random) -> set[str]:
    """Start turns, kill the server after some messages, and return the ids of what it told to be finished."""
    before = len(peer.messages)
    count = before + dice.randrange(2 * MESSAGES_OF_A_TURN)

    def reached(ended: int) -> bool:
        news = peer.messages[before:]
        return len(peer.messages) >= count or sum(one.get("method") == "turn/completed" for one in news) >= ended

    for number in range(2):
        await peer.post("turn/start", {"threadId": thread_id, "input": [{"type": "text", "text": "go"}]})
        await peer.until(partial(reached, number + 1))
    kill_by_id(process)
    await peer.ended()
    return {
        one["params"]["item"]["id"] if one["method"] == "item/completed" else one["params"]["turn"]["id"]
        for one in peer.messages[before:]
        if one.get("method") in ("item/completed", "turn/completed")
    }


async def resumed(peer: Peer, thread_id: str) -> list[dict[str, Any]]:
    """Resume the thread and return its turns."""
    turns: list[dict[str, Any]] = (await peer.result("thread/resume", {"threadId": thread_id}))["thread"]["turns"]
    return turns


def sound(home: Path) -> bool:
    """Whether SQLite finds nothing wrong with the database."""
    connection = sqlite3.connect(home / "threads.db")
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


async def test_a_killed_server_loses_no_item_and_leaves_no_turn_in_progress(home: Path, backend: FakeBackend) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    backend.model.default = lambda _: output(reasoning("hm"), message("a ", "b ", "c"))
    told: set[str] = set()
    async with nursery(backend.environ(home)) as path:
        async with born(path) as (peer, process):
            await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
            thread_id = await peer.start_thread()
            told |= await run_until_killed(peer, process, thread_id, dice)
        for number in range(1, ROUNDS + 1):
            place = f"seed {seed}, round {number}"
            async with born(path) as (peer, process):
                turns = await resumed(peer, thread_id)
                assert {turn["status"] for turn in turns} <= {"completed", "interrupted"}, place
                items = [item["id"] for turn in turns for item in turn["items"]]
                assert len(items) == len(set(items)), place
                assert told <= {*items, *(turn["id"] for turn in turns if turn["status"] == "completed")}, place
                if number < ROUNDS:
                    if number % 10 == 0:
                        thread_id, told = await peer.start_thread(), set()
                    told |= await run_until_killed(peer, process, thread_id, dice)
    assert sound(home), f"seed {seed}"
