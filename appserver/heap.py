"""How memory is looked after: by the C library, and by Python's collector. Knows nothing of the server.

glibc raises its threshold for large blocks whenever one is freed; from then on they come from the heap, whose free top
is kept. One answer of many megabytes would leave the process that much larger for good.

Starting up makes a hundred thousand objects, nearly all of them modules, which stay. Looking through them for garbage
again and again takes a twentieth of the time to the end of the first turn.
"""

from __future__ import annotations

import gc
import sys

LARGE_BLOCK_BYTES = 1024 * 1024
"""Blocks from this size on are mapped one by one, and given back as soon as they are freed."""

START_THRESHOLD = 200_000
"""Objects, more than a start makes, before the collector looks: a bound, should a burst come at once."""

WARM_SECONDS = 2.0
"""After which what was imported is taken to be there for good."""

_USUAL_THRESHOLD = gc.get_threshold()

_M_MMAP_THRESHOLD = -3  # malloc.h; setting it also ends its growing


def return_large_blocks() -> None:
    """Have large blocks given back when they are freed, where the C library needs to be told."""
    if sys.platform != "linux":
        return
    import ctypes  # late: the handshake does not need it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and needs none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def collect_rarely() -> None:
    """Let the collector be while the process starts."""
    gc.set_threshold(START_THRESHOLD)


async def collect_as_usual() -> None:
    """Wait until the start is over, and have garbage looked for from then on, but not among what is there by now.

    What has become garbage meanwhile is kept: two objects of a hundred, and looking for them would hold up the event
    loop for up to 40 ms.
    """
    from anyio import sleep

    await sleep(WARM_SECONDS)
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLD)
