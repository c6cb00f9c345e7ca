"""Logins that a logout has ended everywhere while a process was redeeming their refresh token.

The tokens of that redemption belong to no login and stay good until they are revoked, by the process that redeemed:
only that one has them. So a logout, of whichever process, leaves a note for it. The note names refresh tokens by
their hash and lives as long as the redemption.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from appserver.auth.stores.refused_tokens import fingerprint
from appserver.log import warn
from appserver.regular_file import read_regular

if TYPE_CHECKING:
    from appserver.auth.stores.atomic_file import PrivateFile
    from protocol.base import Secret

SUFFIX = "ended"


class EndedLogins:
    """The note beside a store's file: written under the lock of a change, removed under that of a redemption."""

    def __init__(self, file: PrivateFile) -> None:
        self._file = file

    def note(self, refresh_token: Secret) -> None:
        """Tell the process that is redeeming this token that its login has ended everywhere."""
        path = self._file.beside(SUFFIX)
        noted = self._read()
        try:
            self._remove()
            with open(self._file.create(path), "wb") as file:
                file.write(noted + fingerprint(refresh_token).encode() + b"\n")
        except OSError as exc:
            warn(f"{path}: cannot be written, so a refresh under way is not revoked: {exc.strerror}")

    def __contains__(self, refresh_token: Secret) -> bool:
        return fingerprint(refresh_token).encode() in self._read().split()

    def clear(self) -> None:
        """Forget them: the redemption is over."""
        with contextlib.suppress(OSError):
            self._remove()

    def _read(self) -> bytes:
        try:
            return read_regular(self._file.beside(SUFFIX)).data
        except OSError:
            return b""

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file.beside(SUFFIX))
