"""What tests of several stores share."""

from __future__ import annotations

import pytest

from appserver.auth.stores import os_keyring

PATIENCE_SECONDS = 10.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the keyring where the event loop would do something else meanwhile."""
    monkeypatch.setattr(os_keyring, "MOMENT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(os_keyring, "CHANGE_SECONDS", PATIENCE_SECONDS)
