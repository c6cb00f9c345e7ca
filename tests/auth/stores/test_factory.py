"""The stores that need nothing but the standard library against the kit, and the choice among all of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.auto import AutoStore
from appserver.auth.stores.base import MemoryStore
from appserver.auth.stores.factory import open_store
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.keyring import KeyringStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.settings import Settings, load_settings
from tests.auth.slow_store import Database, SlowStore
from tests.auth.store_kit import SharedStoreKit, StoreKit

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.auth.stores.base import CredentialStore
    from tests.auth.store_kit import Reopen


class TestMemoryStore(StoreKit):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def reopen(self, store: MemoryStore) -> Reopen:
        return lambda: store  # there is no other process


class TestFileStore(SharedStoreKit):
    @pytest.fixture
    def store(self, tmp_path: Path) -> CredentialStore:
        return OffLoopStore(FileStore(str(tmp_path)))

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        return lambda: OffLoopStore(FileStore(str(tmp_path)))


class TestSlowStore(SharedStoreKit):
    """A store that answers after 50 ms."""

    @pytest.fixture
    def database(self) -> Database:
        return Database()

    @pytest.fixture
    def store(self, database: Database) -> CredentialStore:
        return SlowStore(database)

    @pytest.fixture
    def reopen(self, database: Database) -> Reopen:
        return lambda: SlowStore(database)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("file", FileStore), ("keyring", KeyringStore), ("auto", AutoStore), ("ephemeral", MemoryStore)],
)
def test_config_toml_chooses_the_store(tmp_path: Path, name: str, kind: type) -> None:
    (tmp_path / "config.toml").write_text(f'cli_auth_credentials_store = "{name}"')
    store = open_store(load_settings({"APPSERVER_HOME": str(tmp_path)}))
    assert type(store._store if isinstance(store, OffLoopStore) else store) is kind


def test_the_default_is_the_file(tmp_path: Path) -> None:
    store = open_store(load_settings({"APPSERVER_HOME": str(tmp_path)}))
    assert isinstance(store, OffLoopStore)
    assert type(store._store) is FileStore


@pytest.mark.parametrize("name", ["file", "keyring", "auto", "ephemeral"])
def test_opening_a_store_touches_nothing(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    open_store(Settings(home=str(home), credentials_store=name))
    assert not home.exists()


@pytest.mark.parametrize("name", ["file", "keyring", "auto", "ephemeral"])
def test_opening_a_store_imports_nothing_heavy(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from appserver.auth.stores.factory import open_store; from appserver.settings import Settings\n"
        f"open_store(Settings(home={str(tmp_path)!r}, credentials_store={name!r}))\n"
        "sys.exit(' '.join({'keyring', 'cryptography', 'secretstorage', 'filelock', 'logging'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr.strip() == ""
