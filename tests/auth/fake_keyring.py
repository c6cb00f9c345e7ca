"""A keyring in memory that does as the test says. Stands in for the platform's, and for everything they do wrong."""

from __future__ import annotations

from threading import Event

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FakeKeyring(KeyringBackend):
    """As a keyring should be, until a test sets `locked`, `forgetful` or `silent`."""

    priority = -1.0  # keyring never chooses it by itself

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[tuple[str, str], str] = {}
        self.calls = 0
        self.locked = False
        self.forgetful = False
        self.called = Event()
        """Set by the first call."""
        self.silent: Event | None = None
        """Calls do not come back until it is set."""

    def get_password(self, service: str, username: str) -> str | None:
        self._called()
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._called()
        if not self.forgetful:
            self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._called()
        if self.passwords.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")

    def _called(self) -> None:
        self.calls += 1
        self.called.set()
        if self.silent is not None:
            self.silent.wait()
        if self.locked:
            raise KeyringLocked("it is locked")
