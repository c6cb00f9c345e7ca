"""auth.json: what stands in it, who may read it, and what happens when it makes no sense."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from appserver.auth.stores.atomic_file import OccupiedError
from appserver.auth.stores.file import FileStore
from appserver.errors import StoreChangedError, StoreError
from appserver.regular_file import MAX_BYTES
from tests.auth.disks import OCCUPANTS, names, occupy
from tests.auth.store_kit import api_key, login, prepare_redemption

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def store(home: Path) -> FileStore:
    return FileStore(str(home))


def document(home: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads((home / "auth.json").read_bytes())


# What is on disk


def test_the_file_is_for_its_owner_only(store: FileStore, home: Path) -> None:
    store.save(login())
    assert stat.S_IMODE((home / "auth.json").stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}


def test_a_file_that_others_could_read_is_private_after_a_change(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text("{}")
    (home / "auth.json").chmod(0o644)
    store.save(login())
    assert stat.S_IMODE((home / "auth.json").stat().st_mode) == 0o600


def test_a_missing_home_is_made_private(tmp_path: Path) -> None:
    FileStore(str(tmp_path / "new" / "home")).save(login())
    assert stat.S_IMODE((tmp_path / "new" / "home").stat().st_mode) == 0o700


def test_members_of_others_survive_every_rewrite(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text('{"agent": {"keep": [1, null]}, "tokens": {"extra": true}, "zebra": "é"}')
    old, new = login("rt-one"), login("rt-two")
    changes: list[Callable[[], None]] = [
        lambda: store.save(old),
        lambda: store.swap(old, new),
        lambda: store.save(new),
    ]
    for change in changes:
        change()
        found = document(home)
        assert found["agent"] == {"keep": [1, None]}
        assert found["zebra"] == "é"
        assert found["tokens"]["extra"] is True
    store.save(api_key())
    assert document(home)["agent"] == {"keep": [1, None]}


def test_a_way_to_sign_in_that_we_do_not_speak_is_left_as_it_is(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text('{"auth_mode": "agentIdentity", "tokens": {"id_token": 5}}')
    assert store.load().credential is None


def test_a_symbolic_link_stays_one(store: FileStore, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.json"
    (home / "auth.json").symlink_to(real)
    changes: list[Callable[[], object]] = [
        lambda: store.save(login()),
        store.delete,
        lambda: store.save(api_key()),
    ]
    for change in changes:
        change()
        assert (home / "auth.json").is_symlink()
    assert json.loads(real.read_bytes())["OPENAI_API_KEY"] == "sk-test"


def test_a_logout_through_a_symbolic_link_removes_the_credential(store: FileStore, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.json"
    (home / "auth.json").symlink_to(real)
    store.save(login())
    store.delete()
    assert not real.exists()
    assert store.load().credential is None


def test_root_does_not_take_the_file_from_its_owner(store: FileStore, home: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("files have no such owner there")
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    store.save(login())
    os.chown(home / "auth.json", 65534, 65534)
    store.save(login())
    found = (home / "auth.json").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o600)


def test_what_a_killed_writer_has_left_is_removed(store: FileStore, home: Path) -> None:
    (home / ".auth.json.4711-abc.tmp").write_text("a credential")
    (home / ".other.json.4711-abc.tmp").write_text("not ours")
    store.save(login())
    assert names(home) == {"auth.json", ".other.json.4711-abc.tmp"}


# What makes no sense

DEEP = '{"tokens": ' + "[" * 200_000 + "]" * 200_000 + "}"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\0", '"x"', DEEP])
def test_a_corrupt_file_is_reported_kept_aside_and_does_not_stop_a_login(
    store: FileStore, home: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "auth.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=r"auth\.json: it is (no|not) JSON"):
        store.load()
    credential = login()
    store.save(credential)
    assert store.load().credential == credential
    assert (home / "auth.json.corrupt").read_text(encoding="utf-8") == text
    assert "auth.json.corrupt" in caplog.text
    assert names(home) == {"auth.json", "auth.json.corrupt"}


def test_what_can_be_read_but_not_written_back_is_kept_aside(store: FileStore, home: Path) -> None:
    depth = next(depth for depth in range(100, 100_000, 100) if not writable(depth))
    (home / "auth.json").write_text('{"theirs": ' + "[" * depth + "]" * depth + "}")
    store.save(api_key())
    assert store.load().credential == api_key()
    assert (home / "auth.json.corrupt").exists()


def writable(depth: int) -> bool:
    """Whether Python can write lists that are nested so deeply, whatever it can read."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    try:
        json.dumps(value, indent=2)
    except RecursionError:
        return False
    return True


def test_tokens_that_make_no_sense_are_an_error_without_their_text(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text('{"tokens": {"id_token": "very-secret", "access_token": "very-secret"}}')
    with pytest.raises(StoreError, match=r"auth\.json: The id token is not a JWT") as caught:
        store.load()
    assert "very-secret" not in str(caught.value)
    store.save(login())
    assert names(home) == {"auth.json"}  # the rest of it made sense


def test_a_corrupt_file_is_kept_aside_beside_the_target_of_a_link(store: FileStore, home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{")
    (home / "auth.json").symlink_to(tmp_path / "elsewhere.json")
    store.save(login())
    assert (home / "auth.json").is_symlink()
    assert (tmp_path / "elsewhere.json.corrupt").read_text() == "{"


def test_a_huge_file_is_reported_and_kept_aside(store: FileStore, home: Path) -> None:
    huge = '{"OPENAI_API_KEY": "sk-huge", "x": "' + "x" * MAX_BYTES + '"}'
    (home / "auth.json").write_text(huge)
    with pytest.raises(StoreError, match=f"it is larger than {MAX_BYTES} bytes"):
        store.load()
    store.save(api_key())
    assert store.load().credential == api_key()
    assert (home / "auth.json.corrupt").read_text() == huge


def test_what_could_not_be_read_again_is_not_written(store: FileStore) -> None:
    store.save(api_key())
    with pytest.raises(StoreError, match="it would be larger"):
        store.save(login("rt-" + "x" * MAX_BYTES))
    assert store.load().credential == api_key()


# What is no file


@pytest.mark.parametrize("kind", OCCUPANTS)
def test_what_is_no_regular_file_is_neither_read_nor_replaced(store: FileStore, home: Path, kind: str) -> None:
    path = home / "auth.json"
    occupy(path, kind)
    before, listing = path.lstat(), names(home)
    for act in (
        store.load,
        lambda: store.save(login()),
        lambda: store.swap(None, login()),
        lambda: prepare_redemption(store),
    ):
        with pytest.raises(OccupiedError, match=rf"auth\.json: {OCCUPANTS[kind]}.*it is left as it is"):
            act()
    store.delete()  # it holds no credential
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert names(home) == listing
    assert kind not in ("/dev/null", "/dev/zero") or path.samefile(home / "elsewhere")


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing about other users there")
def test_a_file_that_other_users_can_read_or_change_is_told_once_and_used(
    store: FileStore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "auth.json").write_text('{"OPENAI_API_KEY": "sk-test"}')
    (home / "auth.json").chmod(0o666)
    assert [store.load().credential for _ in range(3)] == [api_key()] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{home / 'auth.json'}: other users have access to it (mode 666); the next change takes it from them"
    ]


# Changes by others


def test_swap_with_a_changed_file_writes_nothing(store: FileStore, home: Path) -> None:
    store.save(login("rt-one"))
    before, version = (home / "auth.json").read_bytes(), store.version()
    with pytest.raises(StoreChangedError):
        store.swap(login("rt-other"), login("rt-two"))
    assert (home / "auth.json").read_bytes() == before
    assert store.version() == version


def test_swap_with_a_corrupt_file_writes_nothing(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text("{")
    with pytest.raises(StoreError, match="it is not JSON"):
        store.swap(login("rt-one"), login("rt-two"))
    assert (home / "auth.json").read_text() == "{"
