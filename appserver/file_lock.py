"""An operating system's lock on a file: released when its holder dies, and its file never deleted on release.

The one place that imports filelock, which brings flock and msvcrt. Knows nothing of what is guarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from filelock import BaseFileLock

MODE = 0o600


def file_lock(path: str | os.PathLike[str], on_acquired: Callable[[int], None] | None = None) -> BaseFileLock:
    """Make a lock on a file, which is created when it is taken. `on_acquired` gets the descriptor each time."""
    import filelock  # late: 13 ms, and neither the first answers nor a thread without a turn needs it

    return filelock.FileLock(
        path,
        mode=MODE,
        thread_local=False,  # taken in one thread, given back in any other
        fallback_to_soft=False,  # a soft lock outlives a holder that dies
        preserve_lock_file=True,  # deleting it would let two waiters hold two different files
        on_acquired=on_acquired,
    )
