"""A server that listens on sockets, as a process, and peers that connect to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from appserver.transport.framing import LineSplitter, Oversized
from tests.peer import WAIT_SECONDS, Peer
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import ByteStream, Process


class Listening:
    """A running server process. `log`: the lines of its stderr so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[str] = []
        self._news = anyio.Event()

    async def said(self, words: str) -> str:
        """Wait for a line of the log with these words, and return it."""
        with anyio.fail_after(WAIT_SECONDS):
            while not (found := [line for line in self.log if words in line]):
                await self._news.wait()
        return found[0]

    async def ended(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        with anyio.fail_after(WAIT_SECONDS):
            return await self.process.wait()

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        splitter = LineSplitter()
        async for chunk in self.process.stderr:
            self.log += [line.decode() for line in splitter.feed(chunk) if isinstance(line, bytes)]
            self._news.set()
            self._news = anyio.Event()


@asynccontextmanager
async def listening(environ: Mapping[str, str], *words: str) -> AsyncIterator[Listening]:
    """Start `appserver app-server` with these words, and wait until it listens. At the end it is told to end."""
    async with started([sys.executable, "-m", "appserver", "app-server", *words], environ) as server:
        yield server


@asynccontextmanager
async def started(
    command: Sequence[str], environ: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> AsyncIterator[Listening]:
    """Start a server with this command. `pass_fds`: descriptors that it inherits."""
    whole = {**os.environ, "APPSERVER_LOG": "info", **environ}
    process = await anyio.open_process(
        command, env=whole, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=pass_fds
    )
    server = Listening(process)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(server.read_log)
            await server.said("listening at")
            yield server
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await server.ended()
            group.cancel_scope.cancel()
    finally:
        await kill(process)


@asynccontextmanager
async def unix_peer(path: str | Path, name: str | None = "tests") -> AsyncIterator[Peer]:
    """Connect a peer to a unix socket. `name`: under which it introduces itself; None: it does not."""
    async with await anyio.connect_unix(path) as stream, peer_over(stream, name) as peer:
        yield peer


@asynccontextmanager
async def peer_over(stream: ByteStream, name: str | None = "tests") -> AsyncIterator[Peer]:
    """Be the client on one end of a stream. It leaves at the end."""
    peer, splitter = Peer(stream.send), LineSplitter()

    async def read() -> None:
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                for line in splitter.feed(await stream.receive()):
                    assert not isinstance(line, Oversized)
                    await peer.take(line)
        peer.close()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        if name is not None:
            await peer.initialize(name)
        yield peer
        with contextlib.suppress(anyio.BrokenResourceError):
            await stream.send_eof()
        await peer.ended()
