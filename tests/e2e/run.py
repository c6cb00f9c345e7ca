"""Runs the program as a client would, on bytes: for what happens around the protocol rather than in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from anyio.abc import Process

WAIT_SECONDS = 20.0
"""What a test waits for what is not the subject of its bound: long enough for a loaded machine."""

END_SECONDS = 5.0
"""Within this, everything that ends the process has ended it."""

PROGRAM = [sys.executable, "-m", "appserver"]
HELLO: dict[str, Any] = {
    "id": 0,
    "method": "initialize",
    "params": {"clientInfo": {"name": "tests", "version": "1"}},
}


def lines(*messages: object) -> bytes:
    """Encode messages, one per line."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def request(request_id: object, method: str, **params: object) -> dict[str, Any]:
    """Build a request."""
    return {"id": request_id, "method": method, "params": params}


def decoded(output: bytes) -> list[Any]:
    """Decode what was written to stdout; anything but JSON, one message per line, fails the test."""
    assert not output or output.endswith(b"\n"), output[-200:]
    return [json.loads(line) for line in output.splitlines()]


def run(
    *arguments: str, environ: Mapping[str, str] | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the program until it ends by itself."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environ or {})},
        timeout=WAIT_SECONDS,
        check=False,
    )


@asynccontextmanager
async def started(
    environ: Mapping[str, str],
    *arguments: str,
    program: Sequence[str] = PROGRAM,
    **options: Any,  # noqa: ANN401 - those of anyio.open_process
) -> AsyncIterator[Process]:
    """Start the program, with pipes where `options` say nothing else, and see to it that it ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = await anyio.open_process([*program, *arguments], env={**os.environ, **environ}, **{**pipes, **options})
    try:
        yield process
    finally:
        await kill(process)


async def send(process: Process, data: bytes) -> None:
    """Write to its stdin."""
    assert process.stdin is not None
    await process.stdin.send(data)


async def read_until(process: Process, wanted: bytes, output: bytes = b"") -> bytes:
    """Read its stdout until it has said this, and return all that it said."""
    assert process.stdout is not None
    with anyio.fail_after(WAIT_SECONDS):
        while wanted not in output:
            output += await process.stdout.receive()
    return output


async def end_of_input(process: Process) -> None:
    """Close its stdin."""
    assert process.stdin is not None
    await process.stdin.aclose()


async def rest_of_output(process: Process) -> bytes:
    """Read its stdout to the end."""
    assert process.stdout is not None
    with anyio.fail_after(WAIT_SECONDS):
        return b"".join([chunk async for chunk in process.stdout])


async def exit_code(process: Process) -> int:
    """Wait, within the bound, until it has ended."""
    with anyio.fail_after(END_SECONDS):
        return await process.wait()
