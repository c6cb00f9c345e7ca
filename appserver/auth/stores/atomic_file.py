"""A file that only its owner can read, changed in one step and shared with other processes.

Owns how bytes get to the disk and survive a crash, a full disk, a read-only directory or a mount point. Knows
nothing of what they mean. A process that changes the file holds its lock; reading needs none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from appserver.errors import StoreError
from appserver.log import warn
from appserver.regular_file import MAX_BYTES, NotRegularError, check_regular, read_regular

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from appserver.auth.stores.file_lock import FileLock

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
OF_OTHERS = 0o077
"""The permission bits of everybody but the owner."""

RENAME_IS_NO_WAY = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV}
"""The file may be writable all the same: it is a mount point, or the only writable thing in its directory. Not so
when the disk is full: writing in place would destroy what is there."""


class UnreadableError(StoreError):
    """What is stored makes no sense or cannot be read. A login may take its place."""


class OccupiedError(StoreError):
    """Something that is no regular file is in the file's place. It is neither read nor replaced."""


class PrivateFile:
    """One file, and the lock and temporary files beside it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._told_mode = False

    @cached_property
    def path(self) -> Path:
        """Where it is."""
        from pathlib import Path  # late: the first answer looks at the file, and no more

        return Path(self.name)

    def lock(self, purpose: str, patience: float) -> FileLock:
        """Return a lock that all processes with this file share, also through a symbolic link."""
        from appserver.auth.stores.file_lock import FileLock  # late: reading a credential needs no lock

        return FileLock(self.path, purpose, patience)

    def read(self) -> bytes | None:
        """Return what is there, or None without a file. Raises OccupiedError, UnreadableError."""
        try:
            content = read_regular(self.name)
        except FileNotFoundError:
            return None
        except NotRegularError as exc:
            raise self._occupied(exc) from None
        except OSError as exc:
            raise UnreadableError(f"{self.name}: cannot be read: {exc.strerror}") from None
        self._tell_mode(content.mode)
        return content.data

    def check_place(self) -> None:
        """Raise OccupiedError if something is in the file's place that is not to be replaced."""
        try:
            check_regular(self.name)
        except NotRegularError as exc:
            raise self._occupied(exc) from None
        except OSError:
            return  # nothing is there, or reading and writing will say why

    def write(self, data: bytes) -> None:
        """Replace the file in one step, or, where a rename cannot work, in place. Raises StoreError."""
        self.check_place()
        if len(data) > MAX_BYTES:
            raise StoreError(f"{self.name}: cannot be written: it would be larger than {MAX_BYTES} bytes")
        try:
            self._sweep()
            try:
                self._replace(data)
            except OSError as exc:
                if exc.errno not in RENAME_IS_NO_WAY or not self.can_write_in_place():
                    raise
                self._overwrite(data)
        except OSError as exc:
            raise self.unwritable(exc) from None

    def remove(self) -> bool:
        """Remove the file, through a symbolic link, and say whether it is gone. Raises OccupiedError."""
        self.check_place()
        try:
            self.real.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def keep_aside(self) -> Path | None:
        """Move what is there out of the way and return where to, or None if that cannot be done."""
        real = self.real
        aside = real.with_name(f"{real.name}.corrupt")
        try:
            try:
                os.replace(real, aside)
            except OSError:  # a mount point does not move; what can be read can be copied
                os.replace(self.new_file(real.read_bytes()), aside)
        except OSError:
            return None
        return aside

    def make_directory(self) -> None:
        """Make the directory, private, if there is none. Raises StoreError."""
        try:
            self.path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{self.path.parent}: cannot be created: {exc.strerror}") from None

    def beside(self, suffix: str) -> Path:
        """Return the path of a hidden file beside this one, that goes by its name."""
        real = self.real
        return real.with_name(f".{real.name}.{suffix}")

    def create(self, path: Path) -> int:
        """Make a new private file for the owner of this one, and return its descriptor. Raises OSError."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE_FILE)
        _give_to_owner_of(self.real, fd)
        return fd

    @property
    def real(self) -> Path:
        """Where the bytes are: a symbolic link stays one, and it is its target that is replaced."""
        from pathlib import Path  # late, as above

        return Path(os.path.realpath(self.name))

    def unwritable(self, exc: OSError) -> StoreError:
        """Return the error that says why the file cannot be written."""
        return StoreError(f"{self.path}: cannot be written: {exc.strerror}")

    def _replace(self, data: bytes) -> None:
        real = self.real
        temporary = self.new_file(data)
        try:
            os.replace(temporary, real)
        except OSError:
            _remove(temporary)
            raise
        _sync_directory(real.parent)

    def new_file(self, data: bytes) -> Path:
        """Write a private file beside the real one, see it to the disk, and return its path."""
        path = self.beside(f"{os.getpid()}-{os.urandom(6).hex()}.tmp")
        try:
            with open(self.create(path), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            _remove(path)
            raise
        return path

    def _sweep(self) -> None:
        """Remove what killed writers left: it holds credentials. Under the lock, no other process is writing."""
        real = self.real
        with contextlib.suppress(OSError):
            for name in os.listdir(real.parent):
                if name.startswith(f".{real.name}.") and name.endswith(".tmp"):
                    _remove(real.with_name(name))

    def _overwrite(self, data: bytes) -> None:
        """Write over the old bytes before cutting off what is left of them: the file is never empty.

        What is left is spaces, so that JSON is whole also if the process dies between the two.
        """
        with open(self.path, "r+b", buffering=0) as file:
            _make_private(file.fileno())
            before = file.read()
            try:
                _write_all(file, data, len(before))
            except OSError:
                with contextlib.suppress(OSError):
                    _write_all(file, before, len(before))
                raise

    def check_changeable(self, size: int, *, in_place: bool) -> None:
        """Raise OSError if the file can neither be replaced nor written, although its directory can be.

        So it is with an immutable file, with another user's in a directory with the sticky bit (as /tmp is), and with
        one that is mounted from a disk that is read-only or has no room for so many bytes. `in_place`: it can only be
        written.
        """
        try:
            with open(self.path, "r+b") as file:
                on_other_disk = os.fstat(file.fileno()).st_dev != os.stat(self.real.parent).st_dev
        except FileNotFoundError:
            return
        except PermissionError as exc:
            if exc.errno == errno.EPERM or os.name == "nt" or self._is_kept_by_sticky_bit():
                raise
            return
        if on_other_disk or in_place:
            from shutil import disk_usage  # late: only for files that cannot be replaced

            if disk_usage(self.path).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_kept_by_sticky_bit(self) -> bool:
        if sys.platform == "win32":  # it has none
            return False
        directory, file = os.stat(self.real.parent), os.stat(self.real)
        owners = {directory.st_uid, file.st_uid, 0}
        return bool(directory.st_mode & stat.S_ISVTX) and os.geteuid() not in owners

    def _tell_mode(self, mode: int) -> None:
        if mode & OF_OTHERS and os.name != "nt" and not self._told_mode:
            self._told_mode = True
            warn(f"{self.name}: other users have access to it (mode {mode:03o}); the next change takes it from them")

    def _occupied(self, exc: NotRegularError) -> OccupiedError:
        return OccupiedError(f"{self.name}: {exc.strerror}; it is left as it is")

    def can_write_in_place(self) -> bool:
        """Whether the file can be opened for writing."""
        try:
            with open(self.path, "r+b"):
                return True
        except OSError:
            return False


def _write_all(file: FileIO, data: bytes, over: int) -> None:
    file.seek(0)
    rest = memoryview(data.ljust(over))
    while rest:
        rest = rest[file.write(rest) :]
    file.truncate(len(data))
    os.fsync(file.fileno())


def _make_private(fd: int) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # of a file that belongs to another user
            os.fchmod(fd, PRIVATE_FILE)


def _give_to_owner_of(path: Path, fd: int) -> None:
    """Let a file keep its owner when root replaces it, as in a container that shares the user's home."""
    with contextlib.suppress(OSError):
        found = os.stat(path)
        if sys.platform != "win32" and found.st_uid != os.geteuid():
            os.fchown(fd, found.st_uid, found.st_gid)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_directory(path: Path) -> None:
    """See a rename to the disk, where that can be asked for: the rename itself has happened."""
    if os.name == "nt":
        return  # which cannot open a directory
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
