"""The store that chooses: the keyring where it works, auth.json where it does not or has the login already."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

import pytest

from appserver.auth.stores.auto import AutoStore
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.os_keyring import HomeKey
from appserver.errors import StoreChangedError
from tests.auth.store_kit import SharedStoreKit, api_key, login, redeeming

pytest.importorskip("keyring", reason='needs the packages of the extra: pip install "appserverd[keyring]"')
pytest.importorskip("cryptography", reason='needs the packages of the extra: pip install "appserverd[keyring]"')

from tests.auth.fake_keyring import FakeKeyring

pytestmark = pytest.mark.usefixtures("patient")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.auth.stores.base import CredentialStore

    Reopen: TypeAlias = Callable[[], AutoStore]


@pytest.fixture(params=["works", "locked"])
def ring(request: pytest.FixtureRequest) -> FakeKeyring:
    ring = FakeKeyring()
    ring.locked = request.param == "locked"
    return ring


@pytest.fixture
def store(tmp_path: Path, ring: FakeKeyring) -> AutoStore:
    return open_with(tmp_path, ring)


@pytest.fixture
def reopen(tmp_path: Path, ring: FakeKeyring) -> Reopen:
    return lambda: open_with(tmp_path, ring)


@pytest.fixture
def file(tmp_path: Path) -> FileStore:
    """The file store of the same home."""
    return FileStore(str(tmp_path))


def open_with(home: Path, ring: FakeKeyring) -> AutoStore:
    return AutoStore(str(home), HomeKey(str(home), lambda: ring))


class TestAutoStore(SharedStoreKit):
    """With a keyring that works, and with one that does not."""

    @pytest.fixture
    def store(self, tmp_path: Path, ring: FakeKeyring) -> CredentialStore:
        return OffLoopStore(open_with(tmp_path, ring))

    @pytest.fixture
    def reopen(self, tmp_path: Path, ring: FakeKeyring) -> Callable[[], CredentialStore]:
        return lambda: OffLoopStore(open_with(tmp_path, ring))


works = pytest.mark.parametrize("ring", ["works"], indirect=True)
locked = pytest.mark.parametrize("ring", ["locked"], indirect=True)


@works
def test_a_keyring_that_works_is_used_and_named(
    tmp_path: Path, store: AutoStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.save(login())
    assert store.kind == "keyring"
    assert store.where == f"{tmp_path}/auth.enc, its key in the keyring (tests.auth.fake_keyring.FakeKeyring)"
    assert caplog.messages == ["credentials are kept with the keyring"]
    assert not (tmp_path / "auth.json").exists()


@locked
def test_without_one_it_is_the_file_and_it_says_why(
    tmp_path: Path, store: AutoStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.save(login())
    assert store.kind == "file"
    assert store.where == (f"{tmp_path}/auth.json (the keyring is not used: the keyring cannot be used: it is locked)")
    assert caplog.messages == ["credentials are kept in a file: the keyring cannot be used: it is locked"]
    assert not (tmp_path / "auth.enc").exists()


@works
def test_the_choice_is_made_once(store: AutoStore, ring: FakeKeyring) -> None:
    old, new = login("rt-one"), login("rt-two")
    store.save(old)
    ring.locked = True
    store.swap(old, new)
    assert store.kind == "keyring"
    assert store.load().credential == new


@works
def test_a_login_in_auth_json_is_used_and_renewed_where_it_is(
    tmp_path: Path, store: AutoStore, file: FileStore
) -> None:
    old, new = login("rt-one"), login("rt-two")
    file.save(old)
    assert store.kind == "file"
    assert store.load().credential == old
    store.swap(old, new)
    assert file.load().credential == new
    assert not (tmp_path / "auth.enc").exists()


@works
def test_the_next_login_goes_to_the_keyring_and_the_file_is_mentioned(
    store: AutoStore, file: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = login("rt-one"), login("rt-two")
    file.save(old)
    store.save(new)
    assert store.load().credential == new
    assert file.load().credential == old
    assert "auth.json: still holds an earlier login" in caplog.text


@works
def test_the_next_login_leaves_nothing_that_was_redeemed_for_the_file(
    store: AutoStore, file: FileStore, tmp_path: Path
) -> None:
    file.save(login("rt-one"))
    with redeeming(store) as redemption:
        redemption.write({"refresh_token": "rt-two"})
    store.save(login("rt-new"))
    assert not (tmp_path / ".auth.json.redeemed").exists()


@works
def test_a_login_that_has_moved_to_the_keyring_is_not_renewed_in_the_file(
    store: AutoStore, file: FileStore, reopen: Reopen
) -> None:
    old = login("rt-one")
    file.save(old)
    reopen().save(login("rt-two"))
    with pytest.raises(StoreChangedError):
        store.swap(old, login("rt-three"))


@works
def test_signing_out_does_not_bring_an_earlier_login_back(store: AutoStore, file: FileStore) -> None:
    file.save(api_key("sk-earlier"))
    store.save(login())
    store.delete()
    assert store.load().credential is None
    assert file.load().credential is None
