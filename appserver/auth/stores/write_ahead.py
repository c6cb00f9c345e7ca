"""The write-ahead record: the issuer's response to a redemption, on disk before anything is done with it.

A refresh token is good once, so a process that dies with the issuer's response in memory takes the login with it. The
response is therefore written to a private file with one call: no lock, comparison or sync comes before it. The next
process that redeems the same token finds it there. The file is opened before the token is redeemed, which proves that
a response could be kept. It belongs to the process that holds the lock of a redemption; a change of the stored
credential removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from appserver.auth.stores.atomic_file import RENAME_IS_NO_WAY
from appserver.errors import StoreError
from appserver.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.stores.atomic_file import PrivateFile
    from appserver.auth.stores.codec import Codec

SUFFIX = "redeemed"

ROOM_BYTES = 16 * 1024
"""What the disk must have room for: more than a credential takes."""


class WriteAhead:
    """One record beside a store's file, encoded as that file is."""

    def __init__(self, file: PrivateFile, codec: Codec) -> None:
        self._file = file
        self._codec = codec
        self._fd: int | None = None
        self._seal: Callable[[dict[str, Any]], bytes] | None = None
        self._written = False

    def exists(self) -> bool:
        """Whether there is a record. An empty file is none: its process waits for the issuer, or died waiting."""
        try:
            found = os.lstat(self._file.beside(SUFFIX))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size > 0

    def read(self) -> dict[str, Any] | None:
        """Return the record, or None. One that is cut off counts as none."""
        try:
            return self._codec.opened_beside(read_regular(self._file.beside(SUFFIX)).data)
        except (OSError, ValueError, StoreError):
            return None

    def open(self) -> None:
        """Make an empty file for a record, in place of any other.

        Raises StoreError if a response could be kept neither there nor in the store's file. Where only the latter can
        be written, as a file mounted into a read-only directory can, there is no record.
        """
        self._file.check_place()
        self.remove()
        try:
            self._make_room()
            self._file.check_changeable(ROOM_BYTES, in_place=self._fd is None)
        except FileExistsError:
            raise StoreError(f"{self._file.beside(SUFFIX)}: is not a file, and has to be moved away") from None
        except OSError as exc:
            self.close()
            raise self._file.unwritable(exc) from None

    def write(self, record: dict[str, Any]) -> None:
        """Write a record to the open file, with one call."""
        if self._fd is not None and self._seal is not None:
            with contextlib.suppress(OSError, ValueError):
                self._written = os.write(self._fd, self._seal(record)) > 0

    def close(self) -> None:
        """Close the file, and remove it if nothing was written. A record stays."""
        if self._fd is None:
            return
        os.close(self._fd)
        if not self._written:
            self.remove()
        self._fd, self._seal, self._written = None, None, False

    def remove(self) -> None:
        """Remove the record, if there is one."""
        with contextlib.suppress(OSError):
            self._file.beside(SUFFIX).unlink()

    def _make_room(self) -> None:
        try:
            self._seal = self._codec.sealing_beside()  # now: the key may be gone by the time the response comes
        except StoreError:
            return  # what cannot be encrypted is not written
        try:
            self._fd = self._file.create(self._file.beside(SUFFIX))
            if os.write(self._fd, b"\0" * ROOM_BYTES) < ROOM_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._fd)  # some disks say only now that they are full
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        except OSError as exc:
            if exc.errno not in RENAME_IS_NO_WAY or not self._file.can_write_in_place():
                raise
