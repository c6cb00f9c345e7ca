"""Settings of the memory allocator and of the garbage collector. Knows nothing of the server.

glibc raises its threshold for large blocks whenever one is freed; from then on they come from the heap, whose free top
is kept. One response of many megabytes would leave the process that much larger for good.

Starting up makes a hundred thousand objects, nearly all of which belong to modules and stay. Searching them for garbage
again and again takes a twentieth of the time to the end of the first turn.
"""

from __future__ import annotations

import gc
import os
import sys

LARGE_BLOCK_BYTES = 1024 * 1024
"""Blocks from this size on are mapped one by one, and given back as soon as they are freed."""

START_THRESHOLD = 200_000
"""Objects before the first collection: more than a start makes, and a bound should a burst of requests come at once."""

WARM_SECONDS = 2.0
"""After which all modules are taken to have been imported."""

_USUAL_THRESHOLD = gc.get_threshold()

_M_MMAP_THRESHOLD = -3  # malloc.h; setting it also ends its growing


def resident_bytes() -> int | None:
    """Return the memory that the process has resident, None where the system has no file that tells it."""
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def return_large_blocks() -> None:
    """Have glibc return large blocks to the system when they are freed. Does nothing elsewhere."""
    if sys.platform != "linux":
        return
    import ctypes  # late: the handshake does not need it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and needs none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def collect_rarely() -> None:
    """Keep the garbage collector from running while the process starts."""
    gc.set_threshold(START_THRESHOLD)


async def collect_as_usual() -> None:
    """Wait until the start is over; then collect garbage as usual, but not among the objects that exist by then.

    Those that are garbage already stay: they are two in a hundred, and a full collection would pause the event loop for
    up to 40 ms.
    """
    from anyio import sleep

    await sleep(WARM_SECONDS)
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLD)
