"""What is known of the store: read when it has changed, and told apart from what we have put there ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.file import FileStore
from appserver.auth.stores.snapshot import Stored
from appserver.errors import StoreError
from appserver.settings import Settings
from tests.auth.store_kit import login

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path))


@pytest.fixture
def stored(tmp_path: Path, store: FileStore) -> Stored:
    return Stored(Settings(home=str(tmp_path)), store)


@pytest.fixture
def sibling(tmp_path: Path) -> FileStore:
    """The store as another process has it."""
    return FileStore(str(tmp_path))


def refuse(*_: object) -> None:
    raise StoreError("No space left on device")


def test_nothing_is_known_before_the_first_look(stored: Stored, sibling: FileStore) -> None:
    sibling.save(login())
    assert stored.never_read
    assert stored.credential is None
    assert stored.has_changed()
    assert not stored.never_read
    assert stored.credential == sibling.load()


def test_an_empty_store_is_no_change(stored: Stored) -> None:
    assert not stored.has_changed()
    assert not stored.never_read


def test_what_has_not_changed_is_not_read_again(
    stored: Stored, store: FileStore, sibling: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling.save(login())
    stored.has_changed()
    monkeypatch.setattr(store, "load", refuse)
    assert not stored.has_changed()
    assert stored.problem is None


def test_what_we_have_stored_is_not_taken_for_anothers_change(stored: Stored) -> None:
    stored.save(login())
    assert not stored.has_changed()
    stored.delete(everywhere=False)
    assert not stored.has_changed()


def test_a_change_right_after_ours_is_seen(stored: Stored, sibling: FileStore) -> None:
    stored.save(login("rt-one"))
    sibling.save(login("rt-other"))
    assert stored.has_changed()
    assert stored.credential == sibling.load()


def test_a_file_that_makes_no_sense_is_told_and_looked_at_again(
    stored: Stored, sibling: FileStore, tmp_path: Path
) -> None:
    sibling.save(login("rt-one"))
    stored.has_changed()
    known = stored.credential
    (tmp_path / "auth.json").write_text("{")
    assert not stored.has_changed()
    assert stored.credential == known
    assert stored.problem is not None
    assert "it is not JSON" in stored.problem
    (tmp_path / "auth.json").unlink()
    sibling.save(login("rt-two"))
    assert stored.has_changed()
    assert stored.problem is None


def test_a_login_that_the_restrictions_forbid_is_known_and_not_usable(store: FileStore, sibling: FileStore) -> None:
    stored = Stored(Settings(home="", forced_workspaces=("org-1",)), store)
    sibling.save(login(account="org-2"))
    assert stored.has_changed()
    assert stored.usable(stored.credential) is None
    assert stored.problem is not None
    assert "restricted to workspace(s) org-1" in stored.problem
    assert stored.usable(login(account="org-1")) is not None
    assert stored.problem is None


def test_storing_again_makes_up_for_what_failed(
    stored: Stored, store: FileStore, sibling: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = login("rt-one"), login("rt-two")
    stored.save(old)
    with monkeypatch.context() as patch:
        patch.setattr(store, "swap", refuse)
        stored.save_again(new)
    assert stored.credential == old
    stored.save_again(new)
    assert stored.credential == new == sibling.load()


@pytest.mark.parametrize("change", [lambda other: other.save(login("rt-other")), lambda other: other.delete()])
def test_storing_again_leaves_what_another_process_has_done(
    stored: Stored, sibling: FileStore, change: Callable[[FileStore], None]
) -> None:
    stored.save(login("rt-one"))
    change(sibling)
    stored.save_again(login("rt-two"))
    assert stored.has_changed()
    assert stored.credential == sibling.load()


def test_what_is_deleted_unseen_is_returned(stored: Stored, sibling: FileStore) -> None:
    there = login()
    sibling.save(there)
    assert stored.try_to_delete(everywhere=False) == there
    assert stored.try_to_delete(everywhere=False) is None
    assert sibling.load() is None
