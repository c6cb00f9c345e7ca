"""A document as encrypted bytes, with a key that is kept somewhere else.

Knows neither what keeps the key nor where the bytes go. The key that opened what is stored stays in memory, so that
refreshed tokens can be stored also while the keyring is locked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from appserver.auth.stores.auth_json import document_bytes, parse_document
from appserver.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"appserverd 1\n"
"""What such a file begins with. The encryption covers it too."""

KEY_BYTES = 32
NONCE_BYTES = 12


class Keys(Protocol):
    """Keeps the key. Every method raises StoreError."""

    def get(self) -> bytes | None:
        """Return the key, or None if there is none."""

    def create(self) -> bytes:
        """Make a new key, in place of any other, and return it once it is sure to be kept."""


class Encrypted:
    """JSON under AES-256-GCM."""

    blank = b""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._key: bytes | None = None

    @property
    def has_key(self) -> bool:
        """Whether what was opened last can be replaced without asking for the key."""
        return self._key is not None

    def opened(self, data: bytes | None) -> dict[str, Any]:
        """Return the document in these bytes, empty if there is none. Raises ValueError, StoreError."""
        held, self._key = self._key, None
        if not data:
            return {}
        if not data.startswith(FORMAT):
            raise ValueError("it is not an encrypted credential")
        plain = _decrypted(data, held) if held else None
        if plain is None:  # the first time, or another process has signed in with a new key
            held, plain = self._with_stored_key(data)
        self._key = held
        return parse_document(plain)

    def sealed(self, document: dict[str, Any]) -> bytes:
        """Return a document as bytes, under the key of what was opened last. Raises ValueError, StoreError."""
        plain = document_bytes(document)
        aes_gcm = aead()  # first: without it, no key is needed
        if self._key is None:
            self._key = self._keys.get() or self._keys.create()
        return _encrypted(plain, aes_gcm(self._key))

    def sealing_beside(self) -> Callable[[dict[str, Any]], bytes]:
        """Return what seals under the key of what was opened last. Raises StoreError if there is none."""
        if self._key is None:
            raise StoreError("there is no key")
        cipher = aead()(self._key)
        return lambda document: _encrypted(document_bytes(document), cipher)

    def opened_beside(self, data: bytes) -> dict[str, Any]:
        """Return the document in bytes under the key of what was opened last, and keep to that. Raises ValueError."""
        plain = _decrypted(data, self._key) if self._key and data.startswith(FORMAT) else None
        if plain is None:
            raise ValueError("it is cut off, or was encrypted with another key")
        return parse_document(plain)

    def _with_stored_key(self, data: bytes) -> tuple[bytes, bytes]:
        key = self._keys.get()
        if key is None:
            raise ValueError("its key is not in the keyring any more")
        plain = _decrypted(data, key)
        if plain is None:
            raise ValueError("it is damaged, or the key in the keyring is not the one it was encrypted with")
        return key, plain


def new_key() -> bytes:
    """Return a random key."""
    return os.urandom(KEY_BYTES)


def aead() -> type[AESGCM]:
    """Return what encrypts with a key. Raises StoreError."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # late: an extra, and only this store needs it
    except ImportError:
        raise StoreError('the keyring store needs more packages: pip install "appserverd[keyring]"') from None
    return AESGCM  # type: ignore[no-any-return]  # an extra: its types are not looked at


def _encrypted(plain: bytes, cipher: AESGCM) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + bytes(cipher.encrypt(nonce, plain, FORMAT))


def _decrypted(data: bytes, key: bytes) -> bytes | None:
    aes_gcm = aead()
    from cryptography.exceptions import InvalidTag

    start = len(FORMAT)
    nonce, rest = data[start : start + NONCE_BYTES], data[start + NONCE_BYTES :]
    try:
        return bytes(aes_gcm(key).decrypt(nonce, rest, FORMAT))
    except (InvalidTag, ValueError):  # the latter: cut off within the nonce
        return None
