"""A token that a command prints: run without a shell, within a bound, its output never shown."""

from __future__ import annotations

import os
import subprocess

import anyio

from appserver.errors import RefreshError
from appserver.executable import find_executable
from protocol.base import Secret

MAX_TOKEN_CHARACTERS = 64 * 1024


async def printed_token(command: list[str], timeout: float, directory: str | None = None) -> Secret:
    """Run a command and return the token that it prints. `timeout` in seconds. Raises RefreshError."""
    name, *arguments = command
    program = find_executable(name, os.environ)
    if program is None:
        raise RefreshError(f"{name} could not be run: PATH does not lead to it")
    try:
        with anyio.fail_after(timeout):
            done = await anyio.run_process([program, *arguments], stderr=subprocess.DEVNULL, check=False, cwd=directory)
    except TimeoutError:
        raise RefreshError(f"{name} did not finish within {timeout:g}s") from None
    except OSError as exc:
        raise RefreshError(f"{name} could not be run: {exc.strerror}") from None
    if done.returncode != 0:
        raise RefreshError(f"{name} failed with exit code {done.returncode}")
    token = done.stdout.decode("utf-8", "replace").strip()
    if not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise RefreshError(f"{name} printed no token")
    return Secret(token)
