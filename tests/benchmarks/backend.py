"""The model backend of the benchmarks: `appserver.testing` in a process of its own, told over stdin what to answer.

`python -m tests.benchmarks.backend` prints its URL. Each line that it reads is a JSON object with the members of
`Script`; it takes effect for the requests from then on, and is confirmed by one line: what has arrived since the last.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from appserver.testing import FakeBackend, function_call, message, output, text
from tests.benchmarks.texts import words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

    from appserver.testing import RecordedRequest, Reply

READY_SECONDS = 30.0
MAX_LINE_BYTES = 64 * 1024
TOOL = "fetch"
"""The tool that the model calls where a script says so."""


@dataclass(frozen=True)
class Script:
    """What the model answers to each request."""

    messages: int = 1
    deltas: int = 1
    """In one message."""
    characters: int = 40
    """In one delta."""
    gap: float = 0.0
    """Seconds before each delta."""
    calls_tool: bool = False
    """Whether the first answer is a call of the tool instead."""


@dataclass(frozen=True)
class Arrived:
    """What the backend was sent."""

    requests: int
    bytes: int


class BackendProcess:
    """The process, as the benchmark sees it."""

    def __init__(self, process: Process, url: str, output: BufferedByteReceiveStream) -> None:
        self.url = url
        self._process = process
        self._output = output

    async def answers(self, script: Script) -> Arrived:
        """Have the model answer like this. Returns what has arrived since the last call."""
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps(asdict(script)).encode() + b"\n")
        return Arrived(**json.loads(await _line(self._output)))


@asynccontextmanager
async def running_backend() -> AsyncIterator[BackendProcess]:
    """Start the process, and end it."""
    command = [sys.executable, "-m", "tests.benchmarks.backend"]
    async with await anyio.open_process(command, stdin=subprocess.PIPE, stderr=None) as process:
        assert process.stdout is not None
        output = BufferedByteReceiveStream(process.stdout)
        try:
            yield BackendProcess(process, (await _line(output)).decode(), output)
        finally:
            process.kill()


async def _line(output: BufferedByteReceiveStream) -> bytes:
    with anyio.fail_after(READY_SECONDS):
        return await output.receive_until(b"\n", MAX_LINE_BYTES)


class _Model:
    """Answers every request in the same way."""

    def __init__(self, backend: FakeBackend) -> None:
        self._backend = backend
        self._reply: Reply = text("Hello")
        self._requests = 0
        self._bytes = 0
        backend.model.default = self._answer

    def take(self, line: str) -> str:
        members: dict[str, Any] = json.loads(line)
        script = Script(**members)
        one = message(*(words(script.characters),) * script.deltas)
        self._reply = output(*(one,) * script.messages, delay=script.gap)
        self._backend.model.clear_script()
        if script.calls_tool:
            self._backend.model.script(output(function_call(TOOL, {"what": "everything"})))
        arrived, self._requests, self._bytes = Arrived(self._requests, self._bytes), 0, 0
        return json.dumps(asdict(arrived))

    def _answer(self, request: RecordedRequest) -> Reply:
        self._requests += 1
        self._bytes += len(request.body)
        self._backend.requests.clear()  # their bodies would add up to gigabytes
        return self._reply


async def _serve() -> None:
    async with FakeBackend() as backend:
        model = _Model(backend)
        _tell(backend.url)
        while line := await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            _tell(model.take(line))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(_serve)
