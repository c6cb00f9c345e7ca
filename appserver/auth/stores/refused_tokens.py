"""The refresh token that the issuer has refused for good, and why: a note beside the credential, for all processes.

Only a hash is kept (refresh tokens are long random strings, so it gives nothing away), in a file of its own beside
auth.json. The note counts for that token and that version of auth.json: a change of the file lets the issuer be asked
once more, because a person may have put right what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from appserver.log import warn
from appserver.regular_file import check_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Hashable

    from protocol.base import Secret

FILE_NAME = "refresh-failed.json"


class _Note(NamedTuple):
    sha256: str
    store: str
    """The version of auth.json that the token stands in."""
    reason: str


class RefusedTokens:
    """Notes the one refresh token that was refused last. A note that cannot be written lasts as long as the process."""

    def __init__(self, home: str) -> None:
        self.path = os.path.join(home, FILE_NAME)
        self._note: _Note | None = None

    def reason(self, token: Secret, version: Hashable) -> str | None:
        """Return why this token of this version of the store was refused, or None."""
        for note in (self._read(), self._note):
            if note is not None and note.store == str(version) and note.sha256 == fingerprint(token):
                return note.reason
        return None

    def add(self, token: Secret, version: Hashable, reason: str) -> None:
        """Note that this token was refused."""
        self._note = _Note(fingerprint(token), str(version), reason)
        note = {"refresh_token_sha256": self._note.sha256, "store": self._note.store, "reason": reason}
        try:
            with contextlib.suppress(FileNotFoundError):
                check_regular(self.path)  # opening a pipe would block
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(note, file)
        except OSError as exc:
            warn(f"{self.path}: cannot be written, the next process will ask the issuer again: {exc.strerror}")

    def clear(self) -> None:
        """Forget it: a user has signed in."""
        self._note = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _read(self) -> _Note | None:
        try:
            found = json.loads(read_regular(self.path).data)
            return _Note(str(found["refresh_token_sha256"]), str(found["store"]), str(found["reason"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # a note that cannot be read costs one request to the issuer


def fingerprint(token: Secret) -> str:
    """Return what tells a token from every other and gives nothing of it away (SHA-256 in hex)."""
    import hashlib  # late: loads OpenSSL, which the first answers do not need

    return hashlib.sha256(token.reveal().encode()).hexdigest()
