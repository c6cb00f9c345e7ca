"""The key of one home, in the keyring of the user's session. The only place that imports `keyring`.

Uses only backends that are known to keep secrets and not to ask the user for a password. Every call is bounded:
D-Bus, or whatever is behind a backend, may never answer, and nobody watches a daemon. So each runs in a thread. Reading
the key is waited for only a moment: if it takes longer, StoreBusy is raised, and asking again gets the answer.
"""

from __future__ import annotations

import base64
import os
import time
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from appserver.auth.stores.encrypted import KEY_BYTES, new_key
from appserver.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "appserverd"

ANSWER_SECONDS = 5.0
"""What a keyring may take to give the key out. The first call may have to start its service."""

CHANGE_SECONDS = 1.0
"""What it may take to keep or forget the key. The event loop waits for that: the lock of the change must be held."""

MOMENT_SECONDS = 0.02
"""What the event loop waits for the key when it is first asked for: one that runs answers in a few milliseconds."""

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
        self._reading: _Question[bytes | None] | None = None
        self._unanswered: _Question[Any] | None = None

    @property
    def backend_name(self) -> str | None:
        """Which keyring it is, once it has been used."""
        return None if self._backend is None else _name(self._backend)

    def get(self) -> bytes | None:
        """Return the key, or None if there is none, or something else in its place. Raises StoreError.

        Raises StoreBusy where the keyring takes its time: the next call goes on from there.
        """
        reading = self._reading
        if reading is None or (reading.answered and reading.age() > self._patience):  # an answer that nobody took
            reading = self._reading = self._ask(lambda backend: _key_in(backend.get_password(SERVICE, self._user)))
            reading.wait(min(MOMENT_SECONDS, self._patience))
        if reading.answered:
            self._reading = None
            return reading.answer()
        if reading.age() < self._patience:
            raise StoreBusy("the keyring has not answered yet")
        self._reading, self._unanswered = None, reading
        raise self._silent(self._patience)

    def create(self) -> bytes:
        """Make a new key, in place of any other, and return it once it has been read back. Raises StoreError."""
        key = new_key()
        text = base64.b64encode(key).decode()

        def keep(backend: Backend) -> bytes | None:
            backend.set_password(SERVICE, self._user, text)
            return _key_in(backend.get_password(SERVICE, self._user))

        if self._change(keep) != key:
            raise StoreError(f"the keyring ({self.backend_name}) does not keep what is put into it")
        return key

    def delete(self) -> None:
        """Forget the key. Raises StoreError."""
        self._change(lambda backend: backend.delete_password(SERVICE, self._user))

    def _change(self, use: Callable[[Backend], T]) -> T:
        """Wait for a change, and leave it to its thread if it takes too long."""
        question = self._ask(use)
        patience = min(CHANGE_SECONDS, self._patience)
        question.wait(patience)
        if not question.answered:
            self._unanswered = question
            raise self._silent(patience)
        return question.answer()

    def _ask(self, use: Callable[[Backend], T]) -> _Question[T]:
        """Ask one thing at a time. Raises StoreError while an earlier question has no answer."""
        earlier = self._reading or self._unanswered
        if earlier is not None and not earlier.answered:
            raise StoreError("the keyring has still not answered an earlier question")
        self._reading = self._unanswered = None
        return _Question(lambda: use(self._found()))

    def _silent(self, seconds: float) -> StoreError:
        return StoreError(f"the keyring has not answered within {seconds:g}s")

    def _found(self) -> Backend:
        if self._backend is None:
            self._backend = self._find()
        return self._backend


class _Question(Generic[T]):
    """A call of the keyring in a thread of its own."""

    def __init__(self, use: Callable[[], T]) -> None:
        self._use = use
        self._values: list[T] = []
        self._problem: StoreError | None = None
        self._asked_at = time.monotonic()
        self._thread = Thread(target=self._run, name="keyring", daemon=True)
        self._thread.start()

    @property
    def answered(self) -> bool:
        """Whether the call has come back."""
        return not self._thread.is_alive()

    def age(self) -> float:
        """Return for how many seconds it has been asked."""
        return time.monotonic() - self._asked_at

    def wait(self, seconds: float) -> None:
        """Block the calling thread until the call has come back, but no longer than this."""
        self._thread.join(seconds)

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
