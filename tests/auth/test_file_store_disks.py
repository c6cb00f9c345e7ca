"""auth.json is whole, and what cannot be stored is found out in time, whatever the disk is like."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from appserver.auth.file_store import FileStore
from appserver.errors import StoreError
from tests.auth.disks import fail, fill, mounted, names, read_only, remount_read_only, small_disk
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

    def sync_files(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(fd)

    monkeypatch.setattr(os, "fsync", sync_files)
    store.save(api_key())
    assert store.load() == api_key()


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
