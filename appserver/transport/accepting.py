"""Taking connections from a listening socket."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from anyio import ClosedResourceError, sleep, wait_readable
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    import socket

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

EXHAUSTED_SECONDS = 0.5
"""How long to wait where there is no descriptor for another client: readiness says no more than that one is there."""


async def accept(listening: socket.socket) -> socket.socket | None:
    """Wait for the next connection. None: the socket has been closed."""
    while listening.fileno() >= 0:
        try:
            await checkpoint()  # a flood of clients leaves room for those that are served
            return listening.accept()[0]
        except BlockingIOError:
            await _readable(listening)
        except OSError as exc:  # such as a client that has left already
            if exc.errno in EXHAUSTED:
                await sleep(EXHAUSTED_SECONDS)
    return None


async def _readable(listening: socket.socket) -> None:
    """Wait until there is a connection, or the socket is closed."""
    with suppress(ClosedResourceError):
        await wait_readable(listening)
