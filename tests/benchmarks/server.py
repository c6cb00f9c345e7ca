"""A server under measurement: a process, spoken to over its pipes, and what it has used of CPU, memory and disk.

Linux only: CPU time is read from the process's own clock, memory and children from /proc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from appserver.rpc.pending import PendingRequests
from appserver.testing.home import environ, write_config
from appserver.transport.framing import LineSplitter, Oversized
from tests.benchmarks.texts import MEGABYTE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import Process

    from appserver.rpc.pending import PendingRequest

REQUEST_SECONDS = 120.0
"""For any one response."""

TURN_SECONDS = 300.0
"""From the start of a turn to its end."""

EXIT_SECONDS = 15.0
MAX_LINE_BYTES = 1 << 30

UNREAD = (b'{"method":"item/started"', b'{"method":"item/completed"')
"""What a line that is not decoded begins with: it may be long, and that is the server's time we measure."""

Message = dict[str, Any]


class Failed(Exception):
    """Something could not be measured."""


class Program(NamedTuple):
    """What is measured."""

    name: str
    command: Sequence[str]


class Request(NamedTuple):
    """A request, ready to be sent."""

    pending: PendingRequest
    line: bytes


class Used(NamedTuple):
    """What a process has used since it was started: seconds of CPU, and its memory at the most, in MB."""

    cpu: float
    peak: float


class _Waiting:
    """A message that is waited for."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.message: Message = {}

    def arrive(self, message: Message) -> None:
        self.message = message
        self.arrived.set()

    async def wait(self, seconds: float, what: str) -> Message:
        with anyio.move_on_after(seconds):
            await self.arrived.wait()
            return self.message
        raise Failed(f"{what}: not within {seconds:g} s")


class Server:
    """One process and the client's side of its pipes."""

    def __init__(self, process: Process, home: Path) -> None:
        self.home = home
        self.characters = 0
        """Of all deltas so far."""
        self.streaming: set[str] = set()
        """Ids of the turns of which a delta has come."""
        self.tool_output = ""
        self._process = process
        self._pending = PendingRequests()
        self._ends: dict[str, _Waiting] = {}

    def prepared(self, method: str, params: object = None) -> Request:
        """Encode a request, so that the time for it is not measured."""
        pending = self._pending.add(method)
        return Request(pending, _line({"id": pending.id, "method": method, "params": params or {}}))

    async def result(self, request: Request) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result. Raises Failed."""
        pending = request.pending
        await self._send(request.line)
        with anyio.move_on_after(REQUEST_SECONDS):
            await pending.wait()
        if pending.reply is None:
            raise Failed(f"{pending.method}: not within {REQUEST_SECONDS:g} s")
        if "result" not in pending.reply:
            raise Failed(f"{pending.method}: {pending.reply.get('error')}")
        return pending.reply["result"]

    async def request(self, method: str, params: object = None) -> Any:  # noqa: ANN401 - whatever the method returns
        """Encode a request, send it and return its result. Raises Failed."""
        return await self.result(self.prepared(method, params))

    async def start_thread(self, **params: object) -> str:
        """Start a thread and return its id."""
        thread_id: str = (await self.request("thread/start", params))["thread"]["id"]
        return thread_id

    def turn(self, thread: str, content: Message) -> Request:
        """Encode the start of a turn."""
        return self.prepared("turn/start", {"threadId": thread, "input": [content]})

    async def start_turn(self, request: Request) -> str:
        """Start a turn and return its id."""
        turn_id: str = (await self.result(request))["turn"]["id"]
        return turn_id

    async def end_of_turn(self, turn_id: str) -> Message:
        """Wait for the end of a turn, and return it."""
        end = await self._end(turn_id).wait(TURN_SECONDS, "turn/completed")
        turn: Message = end["params"]["turn"]
        return turn

    async def complete_turn(self, request: Request) -> None:
        """Run a turn from its start to its end."""
        turn = await self.end_of_turn(await self.start_turn(request))
        if turn["status"] != "completed":
            raise Failed(f"the turn has {turn['status']}: {turn['error']}")

    def used(self) -> Used:
        """Return what the process has used so far."""
        return used_by(self._process.pid)

    async def close(self) -> None:
        """End the input, and wait for the process to end."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.move_on_after(EXIT_SECONDS):
            await self._process.wait()

    async def handshake(self) -> None:
        """Shake hands and sign in with an API key."""
        client = {"name": "benchmark", "title": "Benchmark", "version": "1"}
        await self.request("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        await self._send(_line({"method": "initialized"}))
        await self.request("account/login/start", {"type": "apiKey", "apiKey": "sk-benchmark"})

    async def read(self) -> None:
        """Take what the server says, to its end."""
        assert self._process.stdout is not None
        splitter = LineSplitter(MAX_LINE_BYTES)
        with suppress(anyio.EndOfStream):
            while True:
                for line in splitter.feed(await self._process.stdout.receive()):
                    assert not isinstance(line, Oversized)
                    if not line.startswith(UNREAD):
                        await self._take(json.loads(line))

    async def _take(self, message: Message) -> None:
        method = message.get("method")
        if method == "item/agentMessage/delta":
            self.characters += len(message["params"]["delta"])
            self.streaming.add(message["params"]["turnId"])
        elif method == "turn/completed":
            self._end(message["params"]["turn"]["id"]).arrive(message)
        elif method == "item/tool/call":
            content = [{"type": "inputText", "text": self.tool_output}]
            await self._send(_line({"id": message["id"], "result": {"contentItems": content, "success": True}}))
        elif method is None:
            self._pending.resolve(message)

    def _end(self, turn_id: str) -> _Waiting:
        return self._ends.setdefault(turn_id, _Waiting())

    async def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(line)


@asynccontextmanager
async def running(program: Program, home: Path, url: str) -> AsyncIterator[Server]:
    """Start a program on a home, signed in to the backend with this URL, and end it."""
    write_config(url, home, analytics={"enabled": False}, approval_policy="never", sandbox_mode="danger-full-access")
    variables = {**os.environ, **environ(url, home), "RUST_LOG": "error"}
    async with (
        await anyio.open_process(program.command, env=variables, stderr=subprocess.DEVNULL) as process,
        anyio.create_task_group() as group,
    ):
        server = Server(process, home)
        group.start_soon(server.read)
        try:
            await server.handshake()
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            group.cancel_scope.cancel()


def used_by(*pids: int) -> Used:
    """Return what processes and their children have used so far."""
    cpu = peak = 0.0
    for pid in (family for one in pids for family in (one, *_children(one))):
        with suppress(OSError):  # a child that has ended meanwhile
            cpu, peak = cpu + _cpu_seconds(pid), peak + _peak_megabytes(pid)
    return Used(cpu, peak)


def disk_of(home: Path) -> float:
    """Return how many megabytes the files in a home have."""
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / MEGABYTE


def _line(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _cpu_seconds(pid: int) -> float:
    if sys.platform != "linux":
        raise NotImplementedError
    return time.clock_gettime((~pid << 3) | 2)  # the clock of a process, as clock_getcpuclockid(3) names it


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(peak.split()[1]) * 1024 / MEGABYTE


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            children.extend(map(int, path.read_text("ascii").split()))
    return [*children, *(grandchild for child in children for grandchild in _children(child))]
