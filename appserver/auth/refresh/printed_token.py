"""A token that a command prints: run without a shell, within a bound, its output never shown."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import anyio

from appserver.errors import RefreshError
from appserver.executable import find_executable
from protocol.base import Secret

if TYPE_CHECKING:
    from anyio.abc import Process

MAX_TOKEN_BYTES = 64 * 1024
"""More is no token, and is not read to its end: a command may print without end."""


async def printed_token(command: list[str], timeout: float, directory: str | None = None) -> Secret:
    """Run a command and return the token that it prints. `timeout` in seconds. Raises RefreshError."""
    name, *arguments = command
    program = find_executable(name, os.environ)
    if program is None:
        raise RefreshError(f"{name} could not be run: PATH does not lead to it")
    try:
        with anyio.fail_after(timeout):
            code, output = await _run([program, *arguments], directory)
    except TimeoutError:
        raise RefreshError(f"{name} did not finish within {timeout:g}s") from None
    except OSError as exc:
        raise RefreshError(f"{name} could not be run: {exc.strerror}") from None
    if len(output) > MAX_TOKEN_BYTES:
        raise RefreshError(f"{name} printed more than a token")
    if code != 0:
        raise RefreshError(f"{name} failed with exit code {code}")
    token = output.decode("utf-8", "replace").strip()
    if not token:
        raise RefreshError(f"{name} printed no token")
    return Secret(token)


async def _run(command: list[str], directory: str | None) -> tuple[int, bytes]:
    """Run a command and return its exit code and what it printed, or the beginning if that is too much."""
    quiet = subprocess.DEVNULL
    with anyio.CancelScope(shield=True):  # what is cut short while it starts would never be waited for
        process = await anyio.open_process(command, stdin=quiet, stderr=quiet, cwd=directory)
    async with process:
        output = await _output(process)
        if len(output) > MAX_TOKEN_BYTES:
            process.kill()
        return await process.wait(), output


async def _output(process: Process) -> bytes:
    output = b""
    assert process.stdout is not None  # noqa: S101 - a pipe, unless another file is asked for
    async for chunk in process.stdout:
        output += chunk
        if len(output) > MAX_TOKEN_BYTES:
            break
    return output
