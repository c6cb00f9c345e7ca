"""The server's process: started with pipes, and ended within a bound, whatever it does.

Knows nothing of what is spoken over the pipes.
"""

from __future__ import annotations

import os
import subprocess
from typing import IO, TYPE_CHECKING, Final

import anyio

from appserver.client.errors import ServerGone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import Process

END_SECONDS: Final = 55.0
"""After the end of its input the server shuts down within 4 seconds, or within 45 if it waits for an issuer's response,
which comes only once; the rest is for a loaded machine."""

TERMINATE_SECONDS: Final = 2.0
"""Between SIGTERM and SIGKILL."""

KILL_SECONDS: Final = 5.0
"""A killed process is gone at once, unless the system itself is stuck; then we leave it."""

EXIT_CODE_SECONDS: Final = 1.0
"""Between the end of its output and the end of a process."""

StrPath = str | os.PathLike[str]


async def start(
    command: Sequence[str], env: Mapping[str, str] | None, cwd: StrPath | None, stderr: int | IO[bytes] | None
) -> Process:
    """Start the process. Raises ServerGone if that is not possible."""
    try:
        with anyio.CancelScope(shield=True):  # a process whose start is cancelled would never be waited for
            process = await anyio.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env, cwd=cwd
            )
    except OSError as exc:
        where = f" in {cwd}" if cwd is not None and str(exc.filename) == str(cwd) else ""
        raise ServerGone(f"{command[0]} could not be started{where}: {exc.strerror}") from exc
    return process


async def end(process: Process) -> None:
    """Wait for a process whose input has ended, and terminate it if it does not end. Shielded from cancellation."""
    with anyio.CancelScope(shield=True):
        if await _ended(process, END_SECONDS) is None:
            process.terminate()
            if await _ended(process, TERMINATE_SECONDS) is None:
                process.kill()
        with anyio.move_on_after(KILL_SECONDS):
            await process.aclose()


async def why_ended(process: Process, reason: str) -> str:
    """Say in one sentence what became of the process, with its exit code if it has one."""
    code = await _ended(process, EXIT_CODE_SECONDS)
    return f"The app-server {reason}" + ("" if code is None else f" (exit code {code})")


async def _ended(process: Process, within: float) -> int | None:
    with anyio.move_on_after(within):
        return await process.wait()
    return None
