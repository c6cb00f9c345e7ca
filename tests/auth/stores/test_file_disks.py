"""auth.json is whole, and what cannot be stored is found out in time, whatever the disk is like."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores import atomic_file as private_file
from appserver.auth.stores.file import FileStore
from appserver.errors import StoreError
from tests.auth.disks import fail, fill, immutable, mounted, names, read_only, remount_read_only, small_disk
from tests.auth.store_kit import api_key, login, prepare_redemption

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import ManagedTokens

SOMEBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def store(home: Path) -> FileStore:
    return FileStore(str(home))


def ways_to_keep_new_tokens(store: FileStore, old: ManagedTokens) -> list[Callable[[], object]]:
    return [partial(prepare_redemption, store), lambda: store.swap(old, login("rt-two" + "x" * 20_000))]


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
    (home / "auth.json").chmod(0o666)
    inode = (home / "auth.json").stat().st_ino
    with monkeypatch.context() as patch:
        fail(patch, "replace", number)
        store.save(api_key())
    assert store.load().credential == api_key()
    assert (home / "auth.json").stat().st_ino == inode
    assert sys.platform == "win32" or stat.S_IMODE((home / "auth.json").stat().st_mode) == 0o600
    assert names(home) == {"auth.json"}


def test_a_directory_that_cannot_be_synced_is_no_failure(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def sync_files(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(fd)

    monkeypatch.setattr(os, "fsync", sync_files)
    store.save(api_key())
    assert store.load().credential == api_key()


def test_a_read_only_home_is_found_out_before_anything_is_redeemed(store: FileStore, home: Path) -> None:
    old = login()
    if sys.platform != "win32" and os.geteuid() != 0:
        pytest.skip("without root, a file of ours can be written in place in a read-only directory")
    store.save(old)
    with read_only(home):
        changes: list[Callable[[], object]] = [lambda: store.save(api_key()), store.delete]
        for act in ways_to_keep_new_tokens(store, old) + changes:
            with pytest.raises(StoreError, match=r"auth\.json.*: cannot be (written|locked): Read-only file system"):
                act()
        assert store.load().credential == old


def test_an_empty_read_only_home_is_found_out(store: FileStore, home: Path) -> None:
    with read_only(home), pytest.raises(StoreError, match=r"cannot be written: (Read-only|Permission)"):
        prepare_redemption(store)


def test_a_full_disk_is_found_out_and_destroys_nothing(store: FileStore, home: Path) -> None:
    with small_disk(home):
        old = login("rt-one")
        store.save(old)
        fill(home)
        for act in ways_to_keep_new_tokens(store, old):
            with pytest.raises(StoreError, match=r"auth\.json: cannot be written: No space left"):
                act()
        assert store.load().credential == old
        assert names(home) == {"auth.json", "filler"}


# Files mounted into a container


def test_a_mounted_file_is_written_in_place(store: FileStore, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"theirs": 1}')
    (home / "auth.json").touch()
    with mounted("--bind", str(outside), on=home / "auth.json"):
        old, new = login("rt-one"), login("rt-two")
        prepare_redemption(store)
        store.save(old)
        store.swap(old, new)
        assert store.load().credential == new
        assert json.loads(outside.read_bytes())["theirs"] == 1
        assert names(home) == {"auth.json"}
        outside.write_text("{")
        store.save(api_key())
        assert (home / "auth.json.corrupt").read_text() == "{"
        store.delete()
        assert store.load().credential is None
        assert outside.read_text() == "{}"


def test_a_mounted_file_in_a_read_only_directory_is_written_in_place(
    store: FileStore, home: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (home / "auth.json").touch()
    with read_only(home), mounted("--bind", str(outside), on=home / "auth.json"):
        prepare_redemption(store)
        store.save(login("rt-one"))
        store.save(api_key())
        assert FileStore(str(home)).load().credential == api_key()


def test_a_file_that_is_mounted_read_only_is_found_out(store: FileStore, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "a name with spaces.json"
    old = login("rt-one")
    store.save(old)
    os.replace(home / "auth.json", outside)
    (home / "auth.json").touch()
    with mounted("--bind", str(outside), on=home / "auth.json"):
        remount_read_only(home / "auth.json", "bind")
        for act in ways_to_keep_new_tokens(store, old):
            with pytest.raises(StoreError, match="cannot be written"):
                act()
        assert store.load().credential == old


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
            for act in ways_to_keep_new_tokens(store, old):
                with pytest.raises(StoreError, match="cannot be written: No space left"):
                    act()
            assert store.load().credential == old


# Files that stay although their directory can be written


def test_a_file_that_cannot_be_changed_at_all_is_found_out(store: FileStore, home: Path) -> None:
    old = login("rt-one")
    store.save(old)
    with immutable(home / "auth.json"):
        for act in ways_to_keep_new_tokens(store, old):
            with pytest.raises(StoreError, match=r"auth\.json: cannot be written: Operation not permitted"):
                act()
    prepare_redemption(store)
    assert names(home) == {"auth.json"}


PROOF_OF_SOMEBODY = """
import os, pathlib, sys
import appserver.auth.stores.write_ahead  # like pathlib: somebody may not be able to read where it is
from appserver.auth.stores.file import FileStore
from appserver.errors import StoreError
home, us = sys.argv[1], int(sys.argv[2])
os.setgroups([]), os.setgid(us), os.setuid(us)
try:
    FileStore(home).write_ahead().open()
except StoreError as exc:
    sys.exit(exc.message)
"""


@pytest.mark.parametrize(
    ("mode", "directory", "file", "found_out"),
    [
        (0o1777, 0, 0, True),
        (0o1777, SOMEBODY, 0, False),
        (0o1777, 0, SOMEBODY, False),
        (0o777, 0, 0, False),
    ],
    ids=["in somebody else's", "in one's own", "one's own file", "without the bit"],
)
def test_a_file_of_somebody_else_in_a_directory_with_the_sticky_bit_is_found_out(
    mode: int, directory: int, file: int, found_out: bool
) -> None:
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root can give files away")
    with tempfile.TemporaryDirectory() as path:  # not below tmp_path, which nobody else may enter
        home = Path(path)
        FileStore(path).save(login())
        (home / "auth.json").chmod(0o400)
        os.chown(home / "auth.json", file, file)
        os.chown(home, directory, directory)
        home.chmod(mode)
        command = [sys.executable, "-c", PROOF_OF_SOMEBODY, path, str(SOMEBODY)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "cannot be written: Permission denied" in done.stderr) == (int(found_out), found_out)


def test_a_shorter_credential_in_place_of_a_longer_one_is_whole_at_every_moment(
    store: FileStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(login("rt-" + "long" * 1000))
    seen = []

    class Watched(FileIO):
        def truncate(self, size: int | None = None, /) -> int:
            seen.append((home / "auth.json").read_bytes())
            return super().truncate(size)

    with monkeypatch.context() as patch:
        fail(patch, "replace", errno.EBUSY)
        patch.setattr(private_file, "open", lambda path, *_, **__: Watched(path, "r+"), raising=False)
        patch.setattr(store._file, "new_file", lambda _: home / "unused")
        store.save(api_key())
    assert [json.loads(data)["OPENAI_API_KEY"] for data in seen] == ["sk-test"]
