"""Reads files that should be small and regular, and refuses anything else in their place.

Opening a pipe can block, and reading /dev/zero never ends. Links to regular files are followed.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

MAX_BYTES = 1024 * 1024
"""The most that is read of a file where the caller says nothing else: a credential takes a few kilobytes."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """Something that is no regular file is in its place; `strerror` says what."""


class Content(NamedTuple):
    """The bytes of a file, and its permission bits."""

    data: bytes
    mode: int


def read_regular(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> Content:
    """Read a regular file without ever waiting for one. Raises NotRegularError, and OSError (EFBIG) for a huge one."""
    check_regular(path)  # before it is opened: opening a device can have effects
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(fd, "rb") as file:
        found = os.fstat(fd)  # again: it may have been exchanged
        _check_mode(found.st_mode)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return Content(data, stat.S_IMODE(found.st_mode))


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise NotRegularError if something is there that is no regular file. Raises OSError if nothing is."""
    try:
        _check_mode(os.stat(path).st_mode)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise NotRegularError(errno.ELOOP, "it is a link that leads to itself") from None
        raise


def _check_mode(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotRegularError(errno.EINVAL, f"it is {kind}, not a regular file")
