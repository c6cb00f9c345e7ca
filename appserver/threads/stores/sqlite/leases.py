"""Which of the processes on one home still live: whose running turns are running, and whose were cut off.

Each process holds an operating system's lock on a file of its own for as long as it lives, however it ends; another
finds out by trying to lock it. Unlike a process id, that is right across containers that share a home, after a
reboot, and when ids are used again. A name is random and never used twice, so that a dead one's file may be removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING

from appserver.file_lock import file_lock

if TYPE_CHECKING:
    from filelock import BaseFileLock

DIRECTORY = "threads.owners"
SUFFIX = ".lock"

_TRIES = 5
"""A new lock file is lost only to another process that sweeps in the microseconds before it is locked."""

_TOKEN = re.compile(r"[0-9a-f]{32}")


class Owners:
    """The owners of running turns in one home."""

    def __init__(self, home: str) -> None:
        self._directory = os.path.join(home, DIRECTORY)
        self._token: str | None = None
        self._lock: BaseFileLock | None = None

    def mine(self) -> str:
        """Return this process's name, which counts as alive from now on. Raises OSError.

        If the lock file has been deleted, another one takes its place: turns run under the name.
        """
        for _ in range(_TRIES):
            if self._token is not None and os.path.exists(self._path(self._token)):
                return self._token
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._remove_dead()
            self._claim(self._token or os.urandom(16).hex())
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), self._directory)

    def alive(self, token: str) -> bool:
        """Whether the process with this name lives."""
        if token == self._token:
            return True
        if not _TOKEN.fullmatch(token):
            return False
        path = self._path(token)
        if not os.path.exists(path):
            return False
        try:
            lock = _taken(path)
        except OSError:
            return True  # another user's: its turn runs until that user's process says otherwise
        if lock is None:
            return True
        with contextlib.suppress(OSError):
            os.unlink(path)
        lock.release()
        return False

    def close(self) -> None:
        """Give the name up: turns that still count as running were cut off."""
        if self._token is not None and self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path(self._token))
            self._lock.release()
            self._token = self._lock = None

    def _claim(self, token: str) -> None:
        path = self._path(token)
        lock = _taken(path)
        # Another process may have taken the file for a dead one's before it was locked, and removed it.
        if lock is not None and os.path.exists(path):
            old, self._token, self._lock = self._lock, token, lock
            if old is not None:
                old.release()

    def _remove_dead(self) -> None:
        for name in os.listdir(self._directory):
            if name.endswith(SUFFIX):
                self.alive(name.removesuffix(SUFFIX))

    def _path(self, token: str) -> str:
        return os.path.join(self._directory, token + SUFFIX)


def _taken(path: str) -> BaseFileLock | None:
    """Return a lock that is held from now on, or None if another process holds it. Raises OSError."""
    from filelock import Timeout

    lock = file_lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
