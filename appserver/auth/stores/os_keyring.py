"""The key of one home, in the keyring of the user's session. The only place that imports `keyring`.

Uses only backends that are known to keep secrets and not to ask the user for a password. Every call is bounded:
D-Bus, or whatever is behind a backend, may never answer, and a daemon has no user to notice. So each runs in a thread
of its own, which is left behind if it takes too long.
"""

from __future__ import annotations

import base64
import os
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from appserver.auth.stores.encrypted import KEY_BYTES, new_key
from appserver.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "appserverd"

ANSWER_SECONDS = 5.0
"""What a keyring may take to give the key out. The first call may have to start its service."""

CHANGE_SECONDS = 1.0
"""What it may take to keep or forget the key. The lock of the change is held meanwhile; other processes wait for it."""

MOMENT_SECONDS = 0.02
"""What a keyring may take once it was given up: one that runs answers in a few milliseconds."""

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
        self._question: _Question[Any] | None = None
        self._given_up = False

    @property
    def backend_name(self) -> str | None:
        """Which keyring it is, once it has been used."""
        return None if self._backend is None else _name(self._backend)

    def get(self) -> bytes | None:
        """Return the key, or None if there is none, or something else in its place. Raises StoreError."""
        return self._ask(lambda backend: _key_in(backend.get_password(SERVICE, self._user)), self._patience)

    def create(self) -> bytes:
        """Make a new key, in place of any other, and return it once it has been read back. Raises StoreError."""
        key = new_key()
        text = base64.b64encode(key).decode()

        def keep(backend: Backend) -> bytes | None:
            backend.set_password(SERVICE, self._user, text)
            return _key_in(backend.get_password(SERVICE, self._user))

        if self._ask(keep, min(CHANGE_SECONDS, self._patience)) != key:
            raise StoreError(f"the keyring ({self.backend_name}) does not keep what is put into it")
        return key

    def delete(self) -> None:
        """Forget the key. Raises StoreError."""
        self._ask(lambda backend: backend.delete_password(SERVICE, self._user), min(CHANGE_SECONDS, self._patience))

    def give_up(self) -> None:
        """Wait no longer than a moment, now and from now on. May be called from another thread."""
        self._given_up = True
        if (question := self._question) is not None:
            question.stop_waiting()

    def _ask(self, use: Callable[[Backend], T], patience: float) -> T:
        """Ask one thing at a time, and leave it to its thread if it takes too long.

        Raises StoreError, also while an earlier question has no answer, and StoreBusy once the keyring was given up.
        """
        if self._question is not None and not self._question.answered:
            raise StoreError("the keyring has still not answered an earlier question")
        question = _Question(lambda: use(self._found()))
        self._question = question
        question.wait(min(patience, MOMENT_SECONDS) if self._given_up else patience)
        if question.answered:
            return question.answer()
        if self._given_up:
            raise StoreBusy("the keyring has not answered yet")
        raise StoreError(f"the keyring has not answered within {patience:g}s")

    def _found(self) -> Backend:
        if self._backend is None:
            self._backend = self._find()
        return self._backend


class _Question(Generic[T]):
    """A call of the keyring in a thread of its own."""

    def __init__(self, use: Callable[[], T]) -> None:
        self.answered = False
        """Whether the call has come back."""
        self._use = use
        self._values: list[T] = []
        self._problem: StoreError | None = None
        self._over = Event()
        Thread(target=self._run, name="keyring", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Block the calling thread until the call has come back, but no longer than this."""
        self._over.wait(seconds)

    def stop_waiting(self) -> None:
        """Let no thread wait any longer."""
        self._over.set()

    def answer(self) -> T:
        """Return what came back. Raises StoreError."""
        if self._problem is not None:
            raise self._problem
        return self._values[0]

    def _run(self) -> None:
        try:
            self._values.append(self._use())
        except Exception as exc:  # noqa: BLE001 - backends raise their own, and those of what is below them
            self._problem = _translated(exc)
        self.answered = True
        self._over.set()


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
            from appserver.auth.stores.secret_service import promptless

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
