"""auth.enc in the home directory, encrypted with a key that only the user's keyring has.

Keyrings hold little: 2,560 bytes on Windows, less than one set of tokens. So only the key goes there, and the
document, the same as auth.json's, into a file with all the care that a file gets.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from appserver.auth.stores.atomic_file import PrivateFile
from appserver.auth.stores.document import DocumentStore
from appserver.auth.stores.encrypted import Encrypted, aead
from appserver.auth.stores.file import FILE_NAME as PLAIN_FILE_NAME
from appserver.auth.stores.os_keyring import HomeKey
from appserver.errors import StoreBusy, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from appserver.auth.stores.base import Contents

FILE_NAME = "auth.enc"


class KeyringStore(DocumentStore):
    """Keeps the credential in auth.enc, and its key in the keyring."""

    kind = "keyring"

    def __init__(self, home: str, key: HomeKey | None = None) -> None:
        self._key = key or HomeKey(home)
        self._encrypted = Encrypted(self._key)
        self._plain = Path(home, PLAIN_FILE_NAME)
        self._told = False
        super().__init__(PrivateFile(Path(home, FILE_NAME)), self._encrypted)

    @property
    def where(self) -> str:
        """Where the credential is kept, for a person to read."""
        return f"{self._file.path}, its key in the keyring ({self._key.backend_name or 'not used yet'})"

    def load_in_place(self) -> Contents:
        """Raise StoreBusy: the keyring may have to start its service."""
        raise StoreBusy("the keyring has not been asked yet")

    def load(self) -> Contents:
        """Return the contents."""
        if not self.exists():
            self._tell_of_plain_file()
        return super().load()

    def check_key(self) -> None:
        """Raise StoreError if what is stored could not be encrypted now."""
        if not self._encrypted.has_key:
            self.check()

    def give_up(self) -> None:
        """Wait for the keyring no longer."""
        self._key.give_up()

    def check(self) -> None:
        """Raise StoreError if the keyring cannot be used now."""
        aead()
        self._key.get()

    def _put(self, data: bytes) -> None:
        super()._put(data)
        if self._file.read() != data:
            raise StoreError(f"{self._file.path}: does not read back as it was written")

    def _forgotten(self) -> None:
        # Under the lock: a login that follows at once may use this key again.
        with contextlib.suppress(StoreError):  # without the file, the key opens nothing
            self._key.delete()

    def _tell_of_plain_file(self) -> None:
        if not self._told and self._plain.exists():
            self._told = True
            warn(f'{self._plain}: is not used, because cli_auth_credentials_store is "keyring"; sign in again')
