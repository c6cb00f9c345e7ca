"""Refresh tokens that the issuer has refused for good: remembered for exactly that token, also by the next process.

Only a hash is kept (refresh tokens are long random strings, so it gives nothing away), in a file of its own beside
auth.json. A different token, or a login, has nothing to do with it, and a change of auth.json lets the issuer be asked
once more: a person may have put right what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from appserver.log import warn
from appserver.regular_file import check_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from protocol.base import Secret

FILE_NAME = "refresh-failed.json"


class _Note(NamedTuple):
    """Which token it was, what the store looked like, and why the issuer refused."""

    sha256: str
    store: str
    reason: str


class DeadTokens:
    """Remembers the one refresh token that failed last. Without a home, only as long as the process lives."""

    def __init__(self, home: str | None, version: Callable[[], Hashable] = lambda: None) -> None:
        """`version`: the store's, which changes when its file does. A note counts for that file only."""
        self._path = os.path.join(home, FILE_NAME) if home is not None else None
        self._version = version
        self._known: _Note | None = None

    def reason(self, token: Secret) -> str | None:
        """Return why this token is known to be dead, or None."""
        key = fingerprint(token), str(self._version())
        if self._known is None or self._known[:2] != key:
            self._known = self._read() or self._known
        return self._known.reason if self._known and self._known[:2] == key else None

    def remember(self, token: Secret, reason: str) -> None:
        """Note that this token is dead."""
        self._known = _Note(fingerprint(token), str(self._version()), reason)
        if self._path is None:
            return
        note = {"refresh_token_sha256": self._known.sha256, "store": self._known.store, "reason": reason}
        try:
            with contextlib.suppress(FileNotFoundError):
                check_regular(self._path)  # a pipe in its place would be waited for
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(note, file)
        except OSError as exc:
            warn(f"{self._path}: cannot be written, the next process will ask the issuer again: {exc.strerror}")

    def forget(self) -> None:
        """Drop what is remembered: somebody has signed in."""
        self._known = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _read(self) -> _Note | None:
        if self._path is None:
            return None
        try:
            found = json.loads(read_regular(self._path).data)
            return _Note(str(found["refresh_token_sha256"]), str(found["store"]), str(found["reason"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # a note that cannot be read costs one request to the issuer


def fingerprint(token: Secret) -> str:
    """Return what tells a token from every other and gives nothing of it away (SHA-256 in hex)."""
    import hashlib  # late: loads OpenSSL, which the first answers do not need

    return hashlib.sha256(token.reveal().encode()).hexdigest()
