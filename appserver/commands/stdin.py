"""Reads stdin: lines while a login waits for something else, and an API key.

Reads the descriptor itself while an event loop runs: a thread that is blocked in `sys.stdin` would keep its lock, and
with it the process, when the login has ended otherwise.
"""

from __future__ import annotations

import contextlib
import os
import sys
from concurrent.futures import CancelledError
from threading import Thread
from typing import TYPE_CHECKING

from anyio import BrokenResourceError, ClosedResourceError, create_memory_object_stream
from anyio.from_thread import BlockingPortal

from appserver.errors import LoginError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.streams.memory import MemoryObjectSendStream

MAX_TYPED_BYTES = 64 * 1024
"""More than any address or key has. A longer line is dropped."""

MAX_WAITING_LINES = 16
"""Lines that were typed ahead; the reader waits beyond that."""


async def each_line(take: Callable[[Secret], Awaitable[None]]) -> None:
    """Hand every line of stdin to `take`, until its end or until cancelled. What is pasted may hold a code."""
    if sys.stdin is None:  # closed at start: its number may stand for something else by now
        return
    send, receive = create_memory_object_stream[str](MAX_WAITING_LINES)
    async with BlockingPortal() as portal, send, receive:
        # A daemon: the process may end while it waits for a line.
        Thread(target=_pump, args=(sys.stdin.fileno(), portal, send), daemon=True).start()
        async for line in receive:
            if line.strip():
                await take(Secret(line.strip()))


def read_secret(what: str, option: str) -> Secret:
    """Read an API key or a token: hidden where stdin is a terminal, else all of stdin. Raises LoginError.

    `what` names it for a person, `option` is the option that asks for it.
    """
    if sys.stdin is None:
        raise LoginError(f"The {what} is read from stdin, which is closed")
    if sys.stdin.isatty():
        import getpass

        typed = getpass.getpass(f"{what}: ", sys.stderr)
    else:
        typed = sys.stdin.buffer.read(MAX_TYPED_BYTES).decode("utf-8", "replace")
    if not typed.strip():
        raise LoginError(f"There is no {what} on stdin. Try: appserver login {option} < file")
    return Secret(typed.strip())


def _pump(fd: int, portal: BlockingPortal, send: MemoryObjectSendStream[str]) -> None:
    """Read lines in a thread until the end of input, or until the login has ended."""
    rest = b""
    # A terminal that has gone; a login that has ended meanwhile, in its several ways.
    with contextlib.suppress(OSError, RuntimeError, CancelledError, BrokenResourceError, ClosedResourceError):
        while chunk := os.read(fd, MAX_TYPED_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                portal.call(send.send, line.decode("utf-8", "replace"))
            rest = rest if len(rest) <= MAX_TYPED_BYTES else b""
        portal.call(send.send, rest.decode("utf-8", "replace"))
        portal.call(send.aclose)
