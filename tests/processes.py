"""The end of a process that a test has started."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from anyio.abc import Process


async def kill(process: Process) -> None:
    """End a process, however far it has come, and close its pipes; also where the caller is cancelled."""
    with suppress(ProcessLookupError):
        process.kill()
    with anyio.CancelScope(shield=True):
        await process.aclose()
