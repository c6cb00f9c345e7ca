"""How freed memory goes back to the operating system. Knows the C library, and nothing of the server.

glibc raises its threshold for large blocks whenever one is freed; from then on they come from the heap, whose free top
is kept. One answer of many megabytes would leave the process that much larger for good.
"""

from __future__ import annotations

import sys

LARGE_BLOCK_BYTES = 1024 * 1024
"""Blocks from this size on are mapped one by one, and given back as soon as they are freed."""

_M_MMAP_THRESHOLD = -3  # malloc.h; setting it also ends its growing


def return_large_blocks() -> None:
    """Have large blocks given back when they are freed, where the C library needs to be told."""
    if sys.platform != "linux":
        return
    import ctypes  # late: the handshake does not need it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and needs none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
