"""What tests of several stores share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores import os_keyring
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from tests.auth.slow_store import Database, SlowStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auth.store_kit import Reopen

PATIENCE_SECONDS = 10.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the keyring as long as a busy machine needs."""
    monkeypatch.setattr(os_keyring, "CHANGE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(params=["file", "slow"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Where several processes keep one credential: opens its store, which answers at once or after 50 ms."""
    if request.param == "file":
        return lambda: OffLoopStore(FileStore(str(tmp_path)))
    database = Database()
    return lambda: SlowStore(database)
