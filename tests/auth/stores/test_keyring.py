"""The keyring store with a keyring that the test holds in its hands, and every way in which a keyring lets one down."""

from __future__ import annotations

import base64
import json
import stat
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest

from appserver.auth.stores.encrypted import FORMAT, Encrypted
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.keyring import KeyringStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.os_keyring import SERVICE, HomeKey
from appserver.errors import StoreBusy, StoreError
from tests.auth.store_kit import SharedStoreKit, api_key, login, prepare_redemption, redeeming

pytest.importorskip("keyring", reason='needs the packages of the extra: pip install "appserverd[keyring]"')
pytest.importorskip("cryptography", reason='needs the packages of the extra: pip install "appserverd[keyring]"')

from tests.auth.fake_keyring import FakeKeyring

pytestmark = pytest.mark.usefixtures("patient")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.auth.stores.base import CredentialStore

    Reopen: TypeAlias = Callable[[], KeyringStore]


@pytest.fixture
def ring() -> FakeKeyring:
    return FakeKeyring()


@pytest.fixture
def reopen(tmp_path: Path, ring: FakeKeyring) -> Reopen:
    return lambda: open_with(tmp_path, ring)


@pytest.fixture
def store(tmp_path: Path, ring: FakeKeyring) -> KeyringStore:
    return open_with(tmp_path, ring)


def open_with(home: Path, ring: FakeKeyring) -> KeyringStore:
    return KeyringStore(str(home), HomeKey(str(home), lambda: ring))


class TestKeyringStore(SharedStoreKit):
    """With a keyring that works."""

    @pytest.fixture
    def store(self, tmp_path: Path, ring: FakeKeyring) -> CredentialStore:
        return OffLoopStore(open_with(tmp_path, ring))

    @pytest.fixture
    def reopen(self, tmp_path: Path, ring: FakeKeyring) -> Callable[[], CredentialStore]:
        return lambda: OffLoopStore(open_with(tmp_path, ring))


def test_the_file_is_private_and_encrypted_and_only_its_key_is_in_the_keyring(
    tmp_path: Path, store: KeyringStore, ring: FakeKeyring
) -> None:
    store.save(login("rt-very-secret"))
    enc = tmp_path / "auth.enc"
    assert stat.S_IMODE(enc.stat().st_mode) == 0o600
    assert enc.read_bytes().startswith(FORMAT)
    assert b"rt-very-secret" not in enc.read_bytes()
    [(place, text)] = ring.passwords.items()
    assert place == (SERVICE, str(tmp_path))
    assert len(base64.b64decode(text)) == 32
    assert not (tmp_path / "auth.json").exists()


def test_what_was_redeemed_is_encrypted_too(tmp_path: Path, store: KeyringStore) -> None:
    store.save(login())
    with redeeming(store) as redemption:
        redemption.write({"refresh_token": "rt-very-secret"})
    record = (tmp_path / ".auth.enc.redeemed").read_bytes()
    assert record.startswith(FORMAT)
    assert b"rt-very-secret" not in record


def test_two_names_of_one_home_share_the_key(tmp_path: Path, ring: FakeKeyring) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    open_with(tmp_path / "link", ring).save(api_key())
    assert open_with(tmp_path / "home", ring).load().credential == api_key()


def test_nothing_is_asked_of_the_keyring_while_nothing_is_stored(store: KeyringStore, ring: FakeKeyring) -> None:
    assert store.load().credential is None
    assert ring.calls == 0


def test_members_of_others_survive_a_rewrite(tmp_path: Path, store: KeyringStore, ring: FakeKeyring) -> None:
    codec = Encrypted(HomeKey(str(tmp_path), lambda: ring))
    document = {"theirs": {"a": [1, None]}, "tokens": {"more": "x"}}
    (tmp_path / "auth.enc").write_bytes(codec.sealed(document))
    store.save(login())
    rewritten = codec.opened((tmp_path / "auth.enc").read_bytes())
    assert rewritten["theirs"] == document["theirs"]
    assert rewritten["tokens"]["more"] == "x"


@pytest.mark.parametrize("damage", [b"", b"\0", FORMAT, FORMAT + b"short", b"{}"])
def test_a_damaged_file_is_reported_kept_aside_and_does_not_stop_a_login(
    tmp_path: Path, store: KeyringStore, damage: bytes
) -> None:
    enc = tmp_path / "auth.enc"
    store.save(login())
    whole = enc.read_bytes()
    enc.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage == b"\0" else damage)
    damaged = enc.read_bytes()
    if damaged:
        with pytest.raises(StoreError, match=r"auth\.enc: it is (damaged|not an encrypted credential)"):
            store.load()
    else:
        assert store.load().credential is None  # emptied by a logout where the file could not be removed
    store.save(api_key())
    assert store.load().credential == api_key()
    if damaged:
        assert (tmp_path / "auth.enc.corrupt").read_bytes() == damaged


@pytest.mark.parametrize("found", [None, "not base64", base64.b64encode(b"too short").decode()])
def test_a_lost_key_is_reported_and_does_not_stop_a_login(
    tmp_path: Path, store: KeyringStore, ring: FakeKeyring, reopen: Reopen, found: str | None
) -> None:
    store.save(login())
    before = (tmp_path / "auth.enc").read_bytes()
    ring.passwords = {} if found is None else dict.fromkeys(ring.passwords, found)
    other = reopen()
    with pytest.raises(StoreError, match="its key is not in the keyring any more"):
        other.load()
    other.save(api_key())
    assert other.load().credential == api_key()
    assert (tmp_path / "auth.enc.corrupt").read_bytes() == before
    assert store.load().credential == api_key()  # which still had the old key


def test_a_foreign_key_is_reported(store: KeyringStore, ring: FakeKeyring, reopen: Reopen) -> None:
    store.save(login())
    ring.passwords = dict.fromkeys(ring.passwords, base64.b64encode(bytes(32)).decode())
    with pytest.raises(StoreError, match="not the one it was encrypted with"):
        reopen().load()


def test_signing_out_forgets_the_key_too(store: KeyringStore, ring: FakeKeyring) -> None:
    store.save(login())
    store.delete()
    assert ring.passwords == {}


def test_a_login_that_follows_a_logout_at_once_keeps_its_key(
    store: KeyringStore, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(login())
    forget = store._key.delete

    def be_overtaken() -> None:
        with pytest.raises(StoreBusy, match="held by another process"):
            reopen().save(api_key())
        forget()

    monkeypatch.setattr(store._key, "delete", be_overtaken)
    store.delete()
    assert store.load().credential is None


def test_signing_out_works_while_the_keyring_does_not(tmp_path: Path, store: KeyringStore, ring: FakeKeyring) -> None:
    store.save(login())
    ring.locked = True
    store.delete()
    assert store.load().credential is None
    assert not (tmp_path / "auth.enc").exists()


def test_a_locked_keyring_fails_a_login_and_destroys_nothing(
    tmp_path: Path, store: KeyringStore, ring: FakeKeyring, reopen: Reopen
) -> None:
    store.save(login())
    before = (tmp_path / "auth.enc").read_bytes()
    ring.locked = True
    other = reopen()
    for act in (other.load, lambda: prepare_redemption(other), lambda: other.save(api_key())):
        with pytest.raises(StoreError, match="cannot be used: it is locked"):
            act()
    assert (tmp_path / "auth.enc").read_bytes() == before
    assert not (tmp_path / "auth.enc.corrupt").exists()


def test_renewed_tokens_can_be_stored_while_the_keyring_is_locked(
    store: KeyringStore, ring: FakeKeyring, reopen: Reopen
) -> None:
    old, new = login("rt-one"), login("rt-two")
    store.save(old)
    ring.locked = True
    prepare_redemption(store)
    store.swap(old, new)
    ring.locked = False
    assert reopen().load().credential == new


@pytest.mark.parametrize("left", [b"", FORMAT, FORMAT + b"cut off", b"{}"])
def test_a_record_that_makes_no_sense_does_not_cost_the_key(
    tmp_path: Path, store: KeyringStore, ring: FakeKeyring, reopen: Reopen, left: bytes
) -> None:
    old, new = login("rt-one"), login("rt-two")
    store.save(old)
    (tmp_path / ".auth.enc.redeemed").write_bytes(left)
    ring.locked = True
    assert store.record() is None
    with redeeming(store) as redemption:
        redemption.write({"refresh_token": "rt-two"})
    assert store.record() == {"refresh_token": "rt-two"}
    store.swap(old, new)
    ring.locked = False
    assert reopen().load().credential == new


def test_the_write_ahead_record_makes_no_key_after_a_logout_elsewhere(
    store: KeyringStore, ring: FakeKeyring, reopen: Reopen
) -> None:
    store.save(login())
    with redeeming(store) as redemption:
        reopen().delete()
        assert store.load().credential is None
        redemption.write({"refresh_token": "rt-two"})
    assert ring.passwords == {}


def test_a_keyring_that_keeps_nothing_is_found_out(tmp_path: Path, store: KeyringStore, ring: FakeKeyring) -> None:
    ring.forgetful = True
    with pytest.raises(StoreError, match=r"FakeKeyring\) does not keep what is put into it"):
        store.save(login())
    assert not (tmp_path / "auth.enc").exists()


def test_a_file_that_does_not_read_back_is_an_error(store: KeyringStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store._file, "write", lambda data: None)
    with pytest.raises(StoreError, match="does not read back"):
        store.save(login())


def test_a_login_in_auth_json_is_left_alone_and_mentioned_once(
    tmp_path: Path, store: KeyringStore, caplog: pytest.LogCaptureFixture
) -> None:
    FileStore(str(tmp_path)).save(api_key("sk-plain"))
    assert store.load().credential is None
    assert store.load().credential is None
    assert [record.message.partition("is not used")[1] for record in caplog.records] == ["is not used"]
    store.save(login())
    store.delete()
    assert FileStore(str(tmp_path)).load().credential == api_key("sk-plain")


def test_without_keyring_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(StoreError, match=r'pip install "appserverd\[keyring\]"'):
        KeyringStore(str(tmp_path)).save(login())
    assert not (tmp_path / "auth.enc").exists()


def test_without_encryption_the_error_says_what_to_install_and_the_keyring_is_left_alone(
    store: KeyringStore, ring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(StoreError, match=r'pip install "appserverd\[keyring\]"'):
        store.save(login())
    assert ring.calls == 0


def test_the_document_is_the_one_of_auth_json(tmp_path: Path, store: KeyringStore, ring: FakeKeyring) -> None:
    credential = login()
    store.save(credential)
    FileStore(str(tmp_path)).save(credential)
    codec = Encrypted(HomeKey(str(tmp_path), lambda: ring))
    assert codec.opened((tmp_path / "auth.enc").read_bytes()) == json.loads((tmp_path / "auth.json").read_bytes())
