"""auth.json: what stands in it, who may read it, and that it is whole whatever happens to the disk."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from appserver.auth.file_store import FileStore
from appserver.errors import StoreChangedError, StoreError
from tests.auth.disks import fail, fill, mounted, read_only, remount_read_only, small_disk
from tests.auth.store_kit import api_key, login

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def store(home: Path) -> FileStore:
    return FileStore(str(home))


def names(home: Path) -> set[str]:
    """What is in the home, but for lock files."""
    return {path.name for path in home.iterdir() if path.suffix != ".lock"}


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
    for change in (lambda: store.save(old), lambda: store.swap(old, new), lambda: store.save(new)):
        change()
        found = document(home)
        assert found["agent"] == {"keep": [1, None]}
        assert found["zebra"] == "é"
        assert found["tokens"]["extra"] is True
    store.save(api_key())
    assert document(home)["agent"] == {"keep": [1, None]}


def test_a_way_to_sign_in_that_we_do_not_speak_is_left_as_it_is(store: FileStore, home: Path) -> None:
    (home / "auth.json").write_text('{"auth_mode": "agentIdentity", "tokens": {"id_token": 5}}')
    assert store.load() is None


def test_a_symbolic_link_stays_one(store: FileStore, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.json"
    (home / "auth.json").symlink_to(real)
    for change in (lambda: store.save(login()), store.delete, lambda: store.save(api_key())):
        change()
        assert (home / "auth.json").is_symlink()
    assert json.loads(real.read_bytes())["OPENAI_API_KEY"] == "sk-test"


def test_a_logout_through_a_symbolic_link_removes_the_credential(store: FileStore, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.json"
    (home / "auth.json").symlink_to(real)
    store.save(login())
    store.delete()
    assert not real.exists()
    assert store.load() is None


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such owner there")
def test_root_does_not_take_the_file_from_its_owner(store: FileStore, home: Path) -> None:
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

DEEP = '{"tokens": ' + "[" * 5000 + "]" * 5000 + "}"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\0", '"x"', DEEP])
def test_a_corrupt_file_is_reported_kept_aside_and_does_not_stop_a_login(
    store: FileStore, home: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "auth.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=r"auth\.json: it is (no|not) JSON"):
        store.load()
    credential = login()
    store.save(credential)
    assert store.load() == credential
    assert (home / "auth.json.corrupt").read_text(encoding="utf-8") == text
    assert "auth.json.corrupt" in caplog.text
    assert names(home) == {"auth.json", "auth.json.corrupt"}


def test_what_can_be_read_but_not_written_back_is_kept_aside(store: FileStore, home: Path) -> None:
    depth = next(depth for depth in range(100, 100_000, 100) if not writable(depth))
    (home / "auth.json").write_text('{"theirs": ' + "[" * depth + "]" * depth + "}")
    store.save(api_key())
    assert store.load() == api_key()
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


def test_a_directory_in_its_place_is_reported_and_kept_aside(store: FileStore, home: Path) -> None:
    (home / "auth.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        store.load()
    store.save(api_key())
    assert store.load() == api_key()
    assert (home / "auth.json.corrupt").is_dir()


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


# Disks that fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("function", ["replace", "fsync", "open"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    store: FileStore, home: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    old = login("rt-one")
    store.save(old)
    before = (home / "auth.json").read_bytes()
    with monkeypatch.context() as patch:
        fail(patch, function, number)
        with pytest.raises(StoreError, match=r"auth\.json.*cannot be (written|locked)"):
            store.swap(old, login("rt-two"))
    assert (home / "auth.json").read_bytes() == before
    assert names(home) == {"auth.json"}


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS])
def test_where_a_rename_cannot_work_the_file_is_written_in_place(
    store: FileStore, home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.save(login("rt-" + "long" * 1000))
    inode = (home / "auth.json").stat().st_ino
    with monkeypatch.context() as patch:
        fail(patch, "replace", number)
        store.save(api_key())
    assert store.load() == api_key()
    assert (home / "auth.json").stat().st_ino == inode
    assert names(home) == {"auth.json"}


def test_a_directory_that_cannot_be_synced_is_no_failure(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: fail_on_directory(fd) or sync(fd))
    store.save(api_key())
    assert store.load() == api_key()


def fail_on_directory(fd: int) -> None:
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def test_a_read_only_home_is_found_out_before_anything_is_redeemed(store: FileStore, home: Path) -> None:
    old = login()
    if os.name != "nt" and os.geteuid() != 0:
        pytest.skip("without root, a file of ours can be written in place in a read-only directory")
    store.save(old)
    with read_only(home):
        for act in (
            store.prove_writable,
            lambda: store.swap(old, login("rt-two")),
            lambda: store.save(api_key()),
            store.delete,
        ):
            with pytest.raises(StoreError, match=r"auth\.json: cannot be written: Read-only file system"):
                act()
        assert store.load() == old


def test_an_empty_read_only_home_is_found_out(store: FileStore, home: Path) -> None:
    with read_only(home), pytest.raises(StoreError, match=r"cannot be written: (Read-only|Permission)"):
        store.prove_writable()


def test_a_full_disk_is_found_out_and_destroys_nothing(store: FileStore, home: Path) -> None:
    with small_disk(home):
        old = login("rt-one")
        store.save(old)
        fill(home)
        for act in (store.prove_writable, lambda: store.swap(old, login("rt-two" + "x" * 20_000))):
            with pytest.raises(StoreError, match=r"auth\.json: cannot be written: No space left"):
                act()
        assert store.load() == old
        assert names(home) == {"auth.json", "filler"}


# Files mounted into a container


def test_a_mounted_file_is_written_in_place(store: FileStore, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"theirs": 1}')
    (home / "auth.json").touch()
    with mounted("--bind", str(outside), on=home / "auth.json"):
        old, new = login("rt-one"), login("rt-two")
        store.prove_writable()
        store.save(old)
        store.swap(old, new)
        assert store.load() == new
        assert json.loads(outside.read_bytes())["theirs"] == 1
        assert names(home) == {"auth.json"}
        outside.write_text("{")
        store.save(api_key())
        assert (home / "auth.json.corrupt").read_text() == "{"
        store.delete()
        assert store.load() is None
        assert outside.read_text() == "{}"


def test_a_mounted_file_in_a_read_only_directory_is_written_in_place(
    store: FileStore, home: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (home / "auth.json").touch()
    with read_only(home), mounted("--bind", str(outside), on=home / "auth.json"):
        store.prove_writable()
        store.save(login("rt-one"))
        store.save(api_key())
        assert FileStore(str(home)).load() == api_key()


def test_a_file_that_is_mounted_read_only_is_found_out(store: FileStore, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "a name with spaces.json"
    old = login("rt-one")
    store.save(old)
    os.replace(home / "auth.json", outside)
    (home / "auth.json").touch()
    with mounted("--bind", str(outside), on=home / "auth.json"):
        remount_read_only(home / "auth.json", "bind")
        for act in (store.prove_writable, lambda: store.swap(old, login("rt-two"))):
            with pytest.raises(StoreError, match="cannot be written"):
                act()
        assert store.load() == old


def test_a_file_that_is_mounted_from_a_full_disk_is_found_out_and_kept(
    store: FileStore, home: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    old = login("rt-one")
    with small_disk(disk):
        FileStore(str(disk)).save(old)
        fill(disk)
        (home / "auth.json").touch()
        with mounted("--bind", str(disk / "auth.json"), on=home / "auth.json"):
            for act in (store.prove_writable, lambda: store.swap(old, login("rt-two" + "x" * 20_000))):
                with pytest.raises(StoreError, match="cannot be written: No space left"):
                    act()
            assert store.load() == old
