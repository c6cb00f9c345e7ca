"""Locks between processes: released by the operating system when their holder dies, and never deleted.

A lock is keyed by the canonical path of what it guards, so that a symbolic link and its target share one. It says in
plain text who holds it. Taking it blocks at most for a bound; a stuck holder leads to an error that names it. Without
patience there is no wait at all; then it is `off_loop.py` that tries again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appserver.errors import StoreBusy, StoreError
from appserver.file_lock import file_lock
from appserver.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import BaseFileLock

POLL_SECONDS = 0.025
"""How often a thread that waits tries again."""

HOLDER_BYTES = 200

COMMON_DIRECTORY = "/tmp"  # noqa: S108 - filelock refuses what another user has put there
"""Where locks are that have no room beside their file. POSIX has it everywhere."""


class FileLock:
    """A lock beside a file, held by one process at a time."""

    def __init__(self, guarded: Path, purpose: str, patience: float) -> None:
        """`patience`: seconds to wait for another holder; 0 only finds out whether there is one."""
        self._path = _lock_path(Path(os.path.realpath(guarded)), purpose)
        self._patience = patience

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, blocking the thread while waiting. For short work. Raises StoreBusy, StoreError."""
        from filelock import Timeout

        lock = self._lock()
        try:
            lock.acquire(timeout=self._patience, poll_interval=POLL_SECONDS)
        except Timeout:
            raise self._stuck() from None
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be locked: {exc.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    def busy(self) -> bool:
        """Whether it is held now, by this process or another."""
        if not self._path.exists():
            return False
        from filelock import Timeout

        lock = self._lock(signed=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        except OSError:
            return False  # then nobody can hold it
        lock.release()
        return False

    def _lock(self, *, signed: bool = True) -> BaseFileLock:
        return file_lock(self._path, _sign if signed else None)

    def _stuck(self) -> StoreBusy | StoreError:
        try:
            holder = read_regular(self._path).data[:HOLDER_BYTES].decode("utf-8", "replace").strip()
        except OSError:
            holder = ""
        problem = f"{self._path}: held by another process ({holder or 'unknown'})"
        return StoreError(f"{problem} for more than {self._patience:g}s") if self._patience else StoreBusy(problem)


def _sign(fd: int) -> None:
    """Say who holds the lock, for a person to read."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name  # as python -m has it
    text = f"{os.getpid()} {name or 'python'}\n".encode()
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, text)


def _lock_path(guarded: Path, purpose: str) -> Path:
    """Return where the lock is: one place for one file, whatever the process that asks may do and is told.

    It is beside the file: a lock file that is there counts, also where this process could not have made it. Only where
    there is none and none can be made, it is in the common directory.
    """
    beside = guarded.with_name(f"{guarded.name}.{purpose}.lock")
    if os.path.lexists(beside) or not guarded.parent.exists() or os.access(guarded.parent, os.W_OK):
        return beside
    key = hashlib.sha256(os.fsencode(guarded)).hexdigest()[:32]
    return Path(_common_directory(), f"appserver-{key}.{purpose}.lock")


def _common_directory() -> str:
    """Return a directory that is the same for all processes: not that of TMPDIR, which each may have set otherwise."""
    if sys.platform == "win32":
        import tempfile  # late: a directory without room for a lock file is rare

        return tempfile.gettempdir()
    return COMMON_DIRECTORY
