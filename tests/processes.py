"""How a test ends a process that it has started, or keeps it from running for a while."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from anyio.abc import Process


def kill_by_id(pid: int) -> None:
    """End a process as the kernel does when memory runs out: it cannot do anything about it, or after it."""
    if sys.platform == "win32":
        os.kill(pid, signal.SIGTERM)  # any signal ends a process there
    else:
        os.kill(pid, signal.SIGKILL)


def suspend(process: Process) -> None:
    """Keep a process from running, as a frozen virtual machine does."""
    if sys.platform == "win32":
        raise NotImplementedError
    process.send_signal(signal.SIGSTOP)


def go_on(process: Process) -> None:
    """Let a suspended process run again."""
    if sys.platform == "win32":
        raise NotImplementedError
    process.send_signal(signal.SIGCONT)


async def kill(process: Process) -> None:
    """End a process, however far it has come, and close its pipes; also where the caller is cancelled."""
    with suppress(ProcessLookupError):
        process.kill()
    with anyio.CancelScope(shield=True):
        await process.aclose()
