"""A unix domain socket and its place in the file system: for its owner only, and for one server at a time.

Mode 0600, in a directory of mode 0700 if there was none. The process on the other end must run as the same user where
the platform tells. Imports no event loop: `appserver proxy` has none.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from typing import NamedTuple

from appserver.errors import ListenError

DIRECTORY, NAME = "app-server-control", "app-server-control.sock"
"""Where the socket is in the home, as in the reference: its clients look there."""

MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""What fits into sockaddr_un.sun_path: 108 bytes on Linux, 104 on macOS and the BSDs, one of them for the final NUL."""

PROBE_SECONDS = 1.0
"""What a server gets to take a connection that asks whether it is alive. The kernel takes it, so it is a moment."""

LOCK_SECONDS = 10.0
"""What another server gets to begin to listen at the same path: several times what it takes on a busy machine."""

BACKLOG = 1024
"""Clients that have connected and not been accepted; the system may take fewer. One too many waits for a second."""

UNSUPPORTED = "unix sockets are not available on Windows; ws://127.0.0.1:0 is"


class Bound(NamedTuple):
    """A listening socket, and the file that was made for it; no file for one that we have been handed."""

    socket: socket.socket
    path: str | None = None
    inode: int | None = None

    def release(self) -> None:
        """Remove the file, unless another server has put its own in its place, so that no other client comes."""
        if self.path is not None:
            with suppress(OSError):
                if os.lstat(self.path).st_ino == self.inode:
                    os.unlink(self.path)


def default_path(home: str) -> str:
    """Return where the socket of a home is."""
    return os.path.join(home, DIRECTORY, NAME)


def connect(path: str) -> socket.socket:
    """Connect to the server behind a path, which must run as the same user. Raises OSError, ListenError."""
    if sys.platform == "win32":
        raise ListenError(UNSUPPORTED)
    _check_length(path)
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(PROBE_SECONDS)
        connected.connect(path)
        connected.settimeout(None)
        if not is_same_user(connected):
            raise ListenError(f"{path}: the server behind it belongs to another user")
    except BaseException:
        connected.close()
        raise
    return connected


def connect_if_listening(path: str) -> socket.socket | None:
    """Connect as `connect` does; None if no server listens there. Raises OSError, ListenError."""
    try:
        return connect(path)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ECONNREFUSED):
            return None
        raise


def bind(path: str) -> Bound:
    """Listen at a path. A socket that a server has left behind is replaced. Raises ListenError."""
    if sys.platform == "win32":
        raise ListenError(UNSUPPORTED)
    from filelock import FileLock  # late: stdio needs none

    _check_length(path)
    try:
        make_directory(os.path.dirname(path) or ".")
        # Two servers that start at once: one listens, the other finds it. Lock files are never deleted.
        lock = FileLock(f"{path}.lock", mode=0o600, fallback_to_soft=False, preserve_lock_file=True)
        with lock.acquire(timeout=LOCK_SECONDS):
            _clear(path)
            return _bound(path)
    except OSError as exc:  # filelock's Timeout is one
        raise ListenError(f"{path}: cannot listen: {exc.strerror or 'another process is about to'}") from None


def is_same_user(connected: socket.socket) -> bool:
    """Whether the process on the other end runs as our user. True where the platform does not tell."""
    if sys.platform == "win32":
        return True
    uid: int
    if sys.platform == "linux":
        size = struct.calcsize("3i")  # struct ucred: pid, uid, gid
        uid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
    elif sys.platform == "darwin":
        level, option, size = 0, 1, 76  # SOL_LOCAL, LOCAL_PEERCRED, sizeof(struct xucred): version, uid, groups
        uid = struct.unpack_from("=II", connected.getsockopt(level, option, size))[1]
    else:
        return True
    return uid == os.geteuid()


def _check_length(path: str) -> None:
    size = len(os.fsencode(path))
    if size > MAX_PATH_BYTES:
        words = f"{path}: too long for a unix socket: {size} bytes, and {MAX_PATH_BYTES} at most"
        raise ListenError(f"{words}; name a shorter one with unix://PATH")


def make_directory(directory: str) -> None:
    """Make the directory for us only, or see that nobody else may put another socket into it."""
    if sys.platform == "win32":
        raise ListenError(UNSUPPORTED)
    os.makedirs(os.path.dirname(directory) or ".", exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    found = os.stat(directory)
    if os.path.basename(directory) == DIRECTORY and found.st_uid == os.geteuid():
        os.chmod(directory, 0o700)
    elif found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ListenError(f"{directory}: other users may write to it; a socket belongs in a directory of mode 0700")


def _clear(path: str) -> None:
    """Remove the socket that a server has left behind. Raises ListenError where there is something else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISSOCK(mode) or stat.S_ISLNK(mode)):
        raise ListenError(f"{path}: there is a file that is no socket")
    try:
        connect(path).close()
    except OSError as exc:
        if exc.errno not in (errno.ECONNREFUSED, errno.ENOENT):
            raise ListenError(f"{path}: another server may be listening there: {exc.strerror}") from None
        os.unlink(path)
    else:
        raise ListenError(f"{path}: another server is listening there")


def _bound(path: str) -> Bound:
    if sys.platform == "win32":
        raise ListenError(UNSUPPORTED)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # the socket is never there with another mode. No other thread makes files at this time
    try:
        listening.bind(path)
        listening.listen(BACKLOG)
        return Bound(listening, path, os.lstat(path).st_ino)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(mask)
