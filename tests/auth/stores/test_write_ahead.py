"""What was redeemed is on disk before it is stored, for its owner only, and a record that is not whole is none."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.atomic_file import PrivateFile
from appserver.auth.stores.codec import Plain
from appserver.auth.stores.write_ahead import WriteAhead
from appserver.errors import StoreError
from tests.auth.disks import OCCUPANTS, fill, mounted, names, occupy, read_only, small_disk

if TYPE_CHECKING:
    from pathlib import Path

RECORD = {"redeemed_sha256": "00", "access_token": "at", "refresh_token": "rt"}


def record_of(path: Path) -> WriteAhead:
    return WriteAhead(PrivateFile(path), Plain())


def write(write_ahead: WriteAhead) -> None:
    write_ahead.open()
    write_ahead.write(RECORD)
    write_ahead.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "auth.json"


@pytest.fixture
def record(file: Path) -> Path:
    return file.with_name(".auth.json.redeemed")


def test_a_record_is_there_for_the_next_process_as_soon_as_it_is_written(file: Path) -> None:
    write_ahead = record_of(file)
    write_ahead.open()
    assert record_of(file).read() is None
    assert not write_ahead.exists()
    write_ahead.write(RECORD)
    assert record_of(file).read() == RECORD
    write_ahead.close()
    assert record_of(file).read() == RECORD


def test_it_is_for_its_owner_only_also_where_something_else_lay(file: Path, record: Path) -> None:
    record.write_text("{}")
    record.chmod(0o644)
    write(record_of(file))
    assert record_of(file).read() == RECORD
    assert sys.platform == "win32" or stat.S_IMODE(record.stat().st_mode) == 0o600


def test_a_link_that_lies_there_is_not_followed(file: Path, record: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    record.symlink_to(theirs)
    write(record_of(file))
    assert theirs.read_text() == "theirs"
    assert not record.is_symlink()


def test_both_names_of_a_linked_file_have_one_record(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(file)
    write(record_of(tmp_path / "link.json"))
    assert record_of(file).read() == RECORD


def test_nothing_is_left_when_nothing_was_written(file: Path) -> None:
    write_ahead = record_of(file)
    write_ahead.open()
    assert names(file.parent) == {".auth.json.redeemed"}
    write_ahead.close()
    assert names(file.parent) == set()


def test_a_removed_record_is_gone_and_can_be_removed_again(file: Path) -> None:
    write_ahead = record_of(file)
    write(write_ahead)
    write_ahead.remove()
    write_ahead.remove()
    assert write_ahead.read() is None
    assert names(file.parent) == set()


def test_a_record_that_is_cut_off_anywhere_is_none(file: Path, record: Path) -> None:
    write(record_of(file))
    whole = record.read_bytes()
    for length in range(len(whole)):
        record.write_bytes(whole[:length])
        assert record_of(file).read() is None


def test_without_a_place_for_it_or_for_the_file_it_is_refused(file: Path) -> None:
    with read_only(file.parent), pytest.raises(StoreError, match="cannot be written"):
        record_of(file).open()


def test_beside_a_file_that_can_only_be_written_in_place_nothing_is_kept(file: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("{}")
    file.touch()
    with read_only(file.parent), mounted("--bind", str(tmp_path / "outside.json"), on=file):
        write(record_of(file))
        assert record_of(file).read() is None


def test_on_a_full_disk_it_is_refused(file: Path) -> None:
    with small_disk(file.parent):
        fill(file.parent)
        with pytest.raises(StoreError, match="No space left"):
            record_of(file).open()
        assert names(file.parent) == {"filler"}


def test_on_a_disk_that_is_full_by_then_nothing_is_kept_and_nothing_fails(file: Path) -> None:
    with small_disk(file.parent):
        write_ahead = record_of(file)
        write_ahead.open()
        fill(file.parent)
        write_ahead.write(RECORD)
        write_ahead.close()
        assert record_of(file).read() is None
        assert names(file.parent) == {"filler"}


def test_beside_a_mounted_file_it_is_kept_in_the_directory(file: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("{}")
    file.touch()
    with mounted("--bind", str(tmp_path / "outside.json"), on=file):
        write(record_of(file))
        assert record_of(file).read() == RECORD


@pytest.mark.parametrize("kind", OCCUPANTS)
def test_what_is_no_regular_file_in_its_place_is_no_record(file: Path, record: Path, kind: str) -> None:
    occupy(record, kind)
    write_ahead = record_of(file)
    assert not write_ahead.exists()
    assert write_ahead.read() is None
    if kind == "directory":
        with pytest.raises(StoreError, match="has to be moved away"):
            write_ahead.open()
        assert record.is_dir()
    else:
        write(write_ahead)
        assert write_ahead.read() == RECORD
    assert not (file.parent / "elsewhere").is_file()
