"""Where a credential outlives the process: one Protocol, and the stores behind it.

Owns the shape of auth.json, which other programs read and write too: what it does not know there survives a rewrite.
Never holds external tokens. Knows neither who signs in nor who refreshes.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from appserver.auth.credentials import ApiKey, ManagedTokens, managed_tokens
from appserver.errors import AuthError, StoreError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Hashable

    from appserver.auth.credentials import Credential

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


class CredentialStore(Protocol):
    """Keeps one credential. All methods raise StoreError."""

    def version(self) -> Hashable:
        """Return a value that changes when the stored credential may have changed; cheap to ask for."""

    def load(self) -> Credential | None:
        """Return the stored credential."""

    def save(self, credential: Credential) -> None:
        """Store a credential in place of the one before."""

    def delete(self) -> None:
        """Forget the stored credential."""


class MemoryStore:
    """Keeps the credential as long as the process lives."""

    def __init__(self) -> None:
        self._credential: Credential | None = None

    def version(self) -> Hashable:
        """Return the same value always: nobody else writes here."""
        return None

    def load(self) -> Credential | None:
        """Return the stored credential."""
        return self._credential

    def save(self, credential: Credential) -> None:
        """Store a credential in place of the one before."""
        self._credential = credential

    def delete(self) -> None:
        """Forget the stored credential."""
        self._credential = None


class FileStore:
    """auth.json in the home directory: readable by its owner only, replaced in one step."""

    def __init__(self, home: str) -> None:
        self._path = Path(home, "auth.json")

    def version(self) -> Hashable:
        """Return modification time, size and inode, or None without a file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def load(self) -> Credential | None:
        """Return the stored credential."""
        document = self._read()
        try:
            return _credential(document)
        except AuthError as exc:
            raise StoreError(f"{self._path}: {exc.message}") from None

    def save(self, credential: Credential) -> None:
        """Store a credential in place of the one before. A file that cannot be read is kept aside."""
        try:
            document = self._read()
        except StoreError:
            self._keep_aside()
            document = {}
        document.update(_members(credential))
        self._write({key: value for key, value in document.items() if value is not _ABSENT})

    def delete(self) -> None:
        """Forget the stored credential."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be removed: {exc.strerror}") from None

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be read: {exc.strerror}") from None
        except (ValueError, RecursionError):
            raise StoreError(f"{self._path}: is not JSON") from None
        if not isinstance(document, dict):
            raise StoreError(f"{self._path}: is no JSON object")
        return document

    def _write(self, document: dict[str, Any]) -> None:
        temporary = self._path.with_name(f".auth-{os.urandom(8).hex()}.tmp")
        try:
            self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            try:
                _write_private(temporary, json.dumps(document, indent=2).encode())
                os.replace(temporary, self._path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_directory(self._path.parent)
        except OSError as exc:
            raise StoreError(f"{self._path}: cannot be written: {exc.strerror}") from None

    def _keep_aside(self) -> None:
        with contextlib.suppress(OSError):
            os.replace(self._path, self._path.with_name("auth.json.corrupt"))


_ABSENT: Any = object()
"""Marks a member of auth.json that the credential does not have."""


def _credential(document: dict[str, Any]) -> Credential | None:
    """Read a credential from auth.json's members. Raises AuthError if what is there makes no sense."""
    api_key, tokens = document.get("OPENAI_API_KEY"), document.get("tokens")
    key = Secret(api_key) if isinstance(api_key, str) and api_key else None
    mode = document.get("auth_mode") or ("apikey" if key else "chatgpt")
    if mode == "apikey":
        return ApiKey(key) if key else None
    if mode != "chatgpt" or not isinstance(tokens, dict):
        return None  # a way to sign in that we do not speak: not ours to use, nor to destroy
    id_token, access_token = _secret(tokens, "id_token"), _secret(tokens, "access_token")
    if id_token is None or access_token is None:
        raise AuthError("the tokens are incomplete")
    account_id, last_refresh = tokens.get("account_id"), document.get("last_refresh")
    return managed_tokens(
        id_token,
        access_token,
        _secret(tokens, "refresh_token"),
        last_refresh=last_refresh if isinstance(last_refresh, str) else "",
        account_id=account_id if isinstance(account_id, str) else None,
        api_key=key,
    )


def _secret(members: dict[str, Any], name: str) -> Secret | None:
    value = members.get(name)
    return Secret(value) if isinstance(value, str) and value else None


def _members(credential: Credential) -> dict[str, Any]:
    """Return the members of auth.json that stand for a credential."""
    if isinstance(credential, ApiKey):
        return {
            "auth_mode": "apikey",
            "OPENAI_API_KEY": credential.key.reveal(),
            "tokens": _ABSENT,
            "last_refresh": _ABSENT,
        }
    if isinstance(credential, ManagedTokens):
        return {
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": credential.api_key.reveal() if credential.api_key else None,
            "tokens": {
                "id_token": credential.id_token.reveal(),
                "access_token": credential.access_token.reveal(),
                "refresh_token": credential.refresh_token.reveal() if credential.refresh_token else "",
                "account_id": credential.account_id,
            },
            "last_refresh": credential.last_refresh,
        }
    raise StoreError("external tokens are never stored")


def _write_private(path: Path, data: bytes) -> None:
    """Create a file that only its owner can read, and see its bytes to the disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """See a rename to the disk. Windows cannot open a directory, and does not need it."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
