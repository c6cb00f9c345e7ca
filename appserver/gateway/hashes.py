"""Hashes: of passwords, which people choose, and of keys and tokens, which are random and long."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from protocol.base import Secret

if TYPE_CHECKING:
    from appserver.worker import Worker

KEY_BYTES = 32

_hasher = PasswordHasher()  # argon2id, with the library's own recommendation of time and memory


def new_secret(prefix: str) -> Secret:
    """Return a random secret that begins with a prefix, by which logs know it, too (`log.redacted`)."""
    return Secret(prefix + secrets.token_urlsafe(KEY_BYTES))


def hashed(secret: Secret) -> bytes:
    """Return what is stored of a random secret. It needs no salt: nobody can try them all."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).digest()


def hashed_password(password: Secret) -> str:
    """Return what is stored of a password. Takes tens of milliseconds."""
    return str(_hasher.hash(_bytes(password)))


async def password_fits(worker: Worker, stored: str | None, password: Secret) -> bool:
    """Whether a password is the stored one. Takes as long where none is stored, or names could be guessed by time."""
    return await worker.run(_fits, stored, password)


def _fits(stored: str | None, password: Secret) -> bool:
    try:
        _hasher.verify(stored or _nobodys(), _bytes(password))
    except VerificationError:
        return False
    return stored is not None


@cache
def _nobodys() -> str:
    return hashed_password(Secret(secrets.token_hex(16)))


def _bytes(password: Secret) -> bytes:
    return password.reveal().encode("utf-8", "surrogatepass")
