"""The key of one home, in the keyring of the user's session. The only place that imports `keyring`.

Uses only backends that are known to keep secrets and not to ask the user for a password. Every call is bounded:
D-Bus, or whatever is behind a backend, may never answer, and nobody watches a daemon.
"""

from __future__ import annotations

import base64
import os
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from appserver.auth.encrypted import KEY_BYTES, new_key
from appserver.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "appserverd"

ANSWER_SECONDS = 5.0
"""What a keyring may take. The first call may have to start its service."""

SECRET_SERVICE = "keyring.backends.SecretService.Keyring"  # noqa: S105 - a class
KNOWN: Final = (SECRET_SERVICE, "keyring.backends.macOS.Keyring", "keyring.backends.Windows.WinVaultKeyring")
"""What we use. The others keep nothing, keep it in plain text, or ask for a password in a window or a terminal."""

CHAIN = "keyring.backends.chainer.ChainerBackend"

T = TypeVar("T")


class Backend(Protocol):
    """As much of keyring's backends as we use."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return a password."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""

    def delete_password(self, service: str, username: str) -> None:
        """Forget a password."""


class HomeKey:
    """Keeps the key of one home (`encrypted.Keys`)."""

    def __init__(self, home: str, find: Callable[[], Backend] | None = None, patience: float = ANSWER_SECONDS) -> None:
        self._user = os.path.realpath(home)
        self._find = find or usable_backend
        self._backend: Backend | None = None
        self._patience = patience
        self._unanswered: Thread | None = None

    @property
    def backend_name(self) -> str | None:
        """Which keyring it is, once it has been used."""
        return None if self._backend is None else _name(self._backend)

    def get(self) -> bytes | None:
        """Return the key, or None if there is none, or something else in its place. Raises StoreError."""
        return self._bounded(lambda backend: _key_in(backend.get_password(SERVICE, self._user)))

    def create(self) -> bytes:
        """Make a new key, in place of any other, and return it once it has been read back. Raises StoreError."""
        key = new_key()
        text = base64.b64encode(key).decode()
        self._bounded(lambda backend: backend.set_password(SERVICE, self._user, text))
        if self.get() != key:
            raise StoreError(f"the keyring ({self.backend_name}) does not keep what is put into it")
        return key

    def delete(self) -> None:
        """Forget the key. Raises StoreError."""
        self._bounded(lambda backend: backend.delete_password(SERVICE, self._user))

    def _bounded(self, use: Callable[[Backend], T]) -> T:
        """Use the keyring in a thread, and leave it there if it does not come back in time."""
        if self._unanswered is not None and self._unanswered.is_alive():
            raise StoreError("the keyring has still not answered an earlier question")
        values: list[T] = []
        problems: list[Exception] = []

        def run() -> None:
            try:
                values.append(use(self._found()))
            except Exception as exc:  # noqa: BLE001 - backends raise their own, and those of what is below them
                problems.append(exc)

        thread = Thread(target=run, name="keyring", daemon=True)
        thread.start()
        thread.join(self._patience)
        if values:
            return values[0]
        if problems:
            raise _translated(problems[0])
        self._unanswered = thread
        raise StoreError(f"the keyring has not answered within {self._patience:g}s")

    def _found(self) -> Backend:
        if self._backend is None:
            self._backend = self._find()
        return self._backend


def usable_backend() -> Backend:
    """Return the keyring of this session. Raises StoreError if there is none that we use."""
    try:
        import keyring  # late: an extra, and it takes a tenth of a second
    except ImportError:
        raise StoreError('the keyring store needs more packages: pip install "appserverd[keyring]"') from None
    found = keyring.get_keyring()
    # With several backends at hand, keyring tries them all: take the one that we know.
    offered = found.backends if _name(found) == CHAIN else [found]
    for backend in offered:
        if _name(backend) == SECRET_SERVICE:
            from appserver.auth.secret_service import promptless

            return promptless(backend)  # type: ignore[no-any-return]  # an extra: its types are not looked at
        if _name(backend) in KNOWN:
            return backend  # type: ignore[no-any-return]  # as above
    names = ", ".join(map(_name, offered))
    raise StoreError(f"there is no keyring that a program without a user can use (found {names or 'none'})")


def _name(backend: object) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _key_in(text: str | None) -> bytes | None:
    try:
        key = base64.b64decode(text or "", validate=True)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


def _translated(exc: Exception) -> StoreError:
    if isinstance(exc, StoreError):
        return exc
    return StoreError(f"the keyring cannot be used: {str(exc) or type(exc).__name__}")
