"""Whether a private file could be written now: found out beforehand, and without changing it.

A refresh token is redeemed only once its successor can be kept. Read-only homes, full disks, mounted, immutable and
other people's files all look writable from some side.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from appserver.auth.stores.atomic_file import RENAME_IS_NO_WAY

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.auth.stores.atomic_file import PrivateFile

PROBE_BYTES = 16 * 1024
"""What a probe writes: more than a credential takes."""


def prove_writable(file: PrivateFile) -> None:
    """Raise StoreError if `file.write` would fail now."""
    file.check_place()
    try:
        if _is_mount_point(file.real):
            _prove_in_place(file)
        else:
            _prove_replaceable(file)
    except OSError as exc:
        raise file.unwritable(exc) from None


def _prove_replaceable(file: PrivateFile) -> None:
    try:
        temporary = file.new_file(b"\0" * PROBE_BYTES)
    except OSError as exc:
        if exc.errno not in RENAME_IS_NO_WAY or not file.can_write_in_place():
            raise
        _prove_in_place(file)
    else:
        temporary.unlink(missing_ok=True)
        _prove_not_pinned(file)


def _prove_not_pinned(file: PrivateFile) -> None:
    """Raise OSError if the file can neither be replaced nor written, although its directory can be.

    So it is with an immutable file, and with somebody else's in a directory with the sticky bit (as /tmp is).
    """
    try:
        with open(file.path, "r+b"):
            return
    except FileNotFoundError:
        return
    except PermissionError as exc:
        if exc.errno == errno.EPERM or os.name == "nt" or _is_kept_by_sticky_bit(file.real):
            raise


def _is_kept_by_sticky_bit(real: Path) -> bool:
    if sys.platform == "win32":  # it has none
        return False
    directory, file = os.stat(real.parent), os.stat(real)
    owners = {directory.st_uid, file.st_uid, 0}
    return bool(directory.st_mode & stat.S_ISVTX) and os.geteuid() not in owners


def _prove_in_place(file: PrivateFile) -> None:
    from shutil import disk_usage  # late: only for files that cannot be replaced

    with open(file.path, "r+b"):
        if disk_usage(file.path).free < PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_mount_point(path: Path) -> bool:
    """Whether something is mounted on the file itself: it can be opened, but not replaced. Linux says so."""
    escaped = os.fsencode(path)
    for byte in (b"\\", b" ", b"\t", b"\n"):
        escaped = escaped.replace(byte, b"\\%03o" % ord(byte))
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            return any(line.split(b" ", 5)[4] == escaped for line in mounts)
    except (OSError, IndexError):
        return False
