"""What was redeemed and is not in the store yet: on disk from the moment that it is known.

A refresh token is good once, so a process that dies with the issuer's answer in memory takes the login with it. The
answer therefore goes into a private file first, with one call: no lock, no comparison and no sync stand before it. The
next to redeem the same token finds it there. The file belongs to whoever holds the lock of a redemption, and every
change of the store removes it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from appserver.errors import StoreError
from appserver.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appserver.auth.stores.atomic_file import PrivateFile
    from appserver.auth.stores.codec import Codec

SUFFIX = "redeemed"


class Journal:
    """One record beside a store's file, written as that file is."""

    def __init__(self, file: PrivateFile, codec: Codec) -> None:
        self._file = file
        self._codec = codec

    def exists(self) -> bool:
        """Whether there is a record. An empty file is none: somebody waits for an answer, or has died waiting."""
        try:
            found = os.lstat(self._file.beside(SUFFIX))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size > 0

    def read(self) -> dict[str, Any] | None:
        """Return the record that a process left which has died, or None. What is cut off counts as nothing."""
        try:
            return self._codec.opened_beside(read_regular(self._file.beside(SUFFIX)).data)
        except (OSError, ValueError, StoreError):
            return None

    @contextmanager
    def opened(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Make room for a record and yield what writes it. A record that was written stays.

        Where no file can be made, or written, nothing is kept: the store does what it can without.
        """
        self.remove()
        room = self._room()
        if room is None:
            yield lambda _: None
            return
        fd, seal = room
        written = False

        def write(record: dict[str, Any]) -> None:
            nonlocal written
            with contextlib.suppress(OSError, ValueError):
                written = os.write(fd, seal(record)) > 0

        try:
            yield write
        finally:
            os.close(fd)
            if not written:
                self.remove()

    def remove(self) -> None:
        """Remove the record, if there is one."""
        with contextlib.suppress(OSError):
            self._file.beside(SUFFIX).unlink()

    def _room(self) -> tuple[int, Callable[[dict[str, Any]], bytes]] | None:
        """Return the descriptor of a new file, and what seals a record: its key may be gone by the time it comes."""
        try:
            seal = self._codec.sealing_beside()
            return self._file.create(self._file.beside(SUFFIX)), seal
        except (OSError, StoreError):
            return None
