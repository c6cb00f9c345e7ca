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
import sys

DIRECTORY = "threads.owners"
SUFFIX = ".lock"

_TRIES = 5
"""A new lock file is lost only to another process that sweeps in the microseconds before it is locked."""

_TOKEN = re.compile(r"[0-9a-f]{32}")

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        # flock, not fcntl's record locks: those do not tell two connections of one process apart, and are lost as
        # soon as the process closes any descriptor of the file.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Owners:
    """The owners of running turns in one home."""

    def __init__(self, home: str) -> None:
        self._directory = os.path.join(home, DIRECTORY)
        self._token: str | None = None
        self._descriptor = -1

    def mine(self) -> str:
        """Return this process's name, which counts as alive from now on. Raises OSError.

        If somebody has deleted the lock file, there is another one from now on: turns run under the name.
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
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # somebody else's: their turn, until they say otherwise
        try:
            dead = _lock(descriptor)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        if dead:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return not dead

    def close(self) -> None:
        """Give the name up: turns that still count as running were cut off."""
        if self._token is not None:
            os.close(self._descriptor)
            with contextlib.suppress(OSError):
                os.unlink(self._path(self._token))
            self._token = None

    def _claim(self, token: str) -> None:
        path = self._path(token)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Another process may take the file for a dead one's before it is locked, and remove it.
            if _lock(descriptor) and os.path.exists(path):
                descriptor, self._descriptor = self._descriptor, descriptor
                self._token = token
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _remove_dead(self) -> None:
        for name in os.listdir(self._directory):
            if name.endswith(SUFFIX):
                self.alive(name.removesuffix(SUFFIX))

    def _path(self, token: str) -> str:
        return os.path.join(self._directory, token + SUFFIX)
