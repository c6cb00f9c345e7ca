"""Encryption of what lies in the database: AES-256-GCM under keys from the environment, bound to the row.

Of several keys the first encrypts and all decrypt. A value names its key by a hash, so none is tried in vain.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appserver.errors import ConfigError, StoreError
from appserver.log import warn
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "gateway-secret-keys"

FORMAT = b"\x01"
NAME_BYTES = 8
NONCE_BYTES = 12

MIN_CHARACTERS = 16
"""A shorter key can be guessed."""


class Cipher:
    """Encrypts and decrypts values of rows."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        """Raises ConfigError where there is no key, or one that is too short."""
        if not keys or any(len(key.reveal()) < MIN_CHARACTERS for key in keys):
            raise ConfigError(f"GATEWAY_SECRET_KEYS: expected keys of {MIN_CHARACTERS} characters or more, by commas")
        derived = [hashlib.sha256(b"appserverd gateway\0" + key.reveal().encode()).digest() for key in keys]
        self._ciphers = {hashlib.sha256(key).digest()[:NAME_BYTES]: AESGCM(key) for key in derived}
        self._name = next(iter(self._ciphers))

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names of the keys, which are no secret."""
        return tuple(self._ciphers)

    def encrypted(self, plain: bytes, row: str) -> bytes:
        """Return a value that can be decrypted for this row alone."""
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + self._name + nonce + bytes(self._ciphers[self._name].encrypt(nonce, plain, row.encode()))

    def decrypted(self, value: bytes, row: str) -> bytes:
        """Return what was encrypted for this row. Raises StoreError."""
        name, nonce, rest = _parts(value)
        cipher = self._ciphers.get(name)
        if not value.startswith(FORMAT) or cipher is None:
            raise StoreError("It was encrypted with a key that is not among GATEWAY_SECRET_KEYS")
        try:
            return bytes(cipher.decrypt(nonce, rest, row.encode()))
        except (InvalidTag, ValueError):
            raise StoreError("It is damaged, or belongs to another row of the database") from None

    def is_current(self, value: bytes) -> bool:
        """Whether a value was encrypted with the first key."""
        return _parts(value)[0] == self._name


def keys_of(configured: Sequence[Secret], home: str) -> Sequence[Secret]:
    """Return the configured keys, or those that were made in the home; make one there on the first start."""
    if configured:
        return configured
    path = os.path.join(home, FILE)
    if not os.path.exists(path) and _make(path):
        warn(f"GATEWAY_SECRET_KEYS is not set: a key was made in {path}; without it, what is stored cannot be read")
    with open(path, encoding="ascii") as file:
        return [Secret(key) for key in file.read().strip().split(",") if key]


def _make(path: str) -> bool:
    """Make a key in a file, whole at once. Return whether it was made: another process may have been faster."""
    temporary = f"{path}.{os.getpid()}"
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(os.urandom(32).hex())
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def _parts(value: bytes) -> tuple[bytes, bytes, bytes]:
    name_end = len(FORMAT) + NAME_BYTES
    return value[len(FORMAT) : name_end], value[name_end : name_end + NONCE_BYTES], value[name_end + NONCE_BYTES :]
