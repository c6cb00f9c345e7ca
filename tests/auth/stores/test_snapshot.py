"""What is known of the store: read when it has changed, and told apart from what we have put there ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.snapshot import Snapshot
from appserver.errors import StoreError
from appserver.settings import Settings
from tests.auth.store_kit import login

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.auth.stores.base import CredentialStore


pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> CredentialStore:
    return OffLoopStore(FileStore(str(tmp_path)))


@pytest.fixture
def snapshot(tmp_path: Path, store: CredentialStore) -> Snapshot:
    return Snapshot(Settings(home=str(tmp_path)), store)


@pytest.fixture
def sibling(tmp_path: Path) -> FileStore:
    """The store as another process has it."""
    return FileStore(str(tmp_path))


async def refuse(*_: object) -> None:
    raise StoreError("No space left on device")


async def test_nothing_is_known_before_the_first_look(snapshot: Snapshot, sibling: FileStore) -> None:
    sibling.save(login())
    assert snapshot.never_read
    assert snapshot.credential is None
    assert await snapshot.read()
    assert not snapshot.never_read
    assert snapshot.credential == sibling.load().credential


async def test_an_empty_store_is_no_change(snapshot: Snapshot) -> None:
    assert not await snapshot.read()
    assert not snapshot.never_read


async def test_what_has_not_changed_is_not_read_again(
    snapshot: Snapshot, store: CredentialStore, sibling: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling.save(login())
    await snapshot.read()
    monkeypatch.setattr(store, "load", refuse)
    assert not await snapshot.read()
    assert snapshot.problem is None


async def test_what_we_have_stored_is_not_taken_for_anothers_change(snapshot: Snapshot) -> None:
    await snapshot.save(login())
    assert not await snapshot.read()
    await snapshot.delete(everywhere=False)
    assert not await snapshot.read()


async def test_a_change_right_after_ours_is_seen(snapshot: Snapshot, sibling: FileStore) -> None:
    await snapshot.save(login("rt-one"))
    sibling.save(login("rt-other"))
    assert await snapshot.read()
    assert snapshot.credential == sibling.load().credential


async def test_a_file_that_makes_no_sense_is_told_and_looked_at_again(
    snapshot: Snapshot, sibling: FileStore, tmp_path: Path
) -> None:
    sibling.save(login("rt-one"))
    await snapshot.read()
    known = snapshot.credential
    (tmp_path / "auth.json").write_text("{")
    assert not await snapshot.read()
    assert snapshot.credential == known
    assert snapshot.problem is not None
    assert "it is not JSON" in snapshot.problem
    (tmp_path / "auth.json").unlink()
    sibling.save(login("rt-two"))
    assert await snapshot.read()
    assert snapshot.problem is None


async def test_a_login_that_the_restrictions_forbid_is_known_and_not_usable(
    store: CredentialStore, sibling: FileStore
) -> None:
    snapshot = Snapshot(Settings(home="", forced_workspaces=("org-1",)), store)
    sibling.save(login(account="org-2"))
    assert await snapshot.read()
    assert snapshot.usable(snapshot.credential) is None
    assert snapshot.problem is not None
    assert "restricted to workspace(s) org-1" in snapshot.problem
    assert snapshot.usable(login(account="org-1")) is not None
    assert snapshot.problem is None


async def test_storing_again_makes_up_for_what_failed(
    snapshot: Snapshot, store: CredentialStore, sibling: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = login("rt-one"), login("rt-two")
    await snapshot.save(old)
    with monkeypatch.context() as patch:
        patch.setattr(store, "swap", refuse)
        await snapshot.save_again(new)
    assert snapshot.credential == old
    await snapshot.save_again(new)
    assert snapshot.credential == new == sibling.load().credential


@pytest.mark.parametrize("change", [lambda other: other.save(login("rt-other")), lambda other: other.delete()])
async def test_storing_again_leaves_what_another_process_has_done(
    snapshot: Snapshot, sibling: FileStore, change: Callable[[FileStore], None]
) -> None:
    await snapshot.save(login("rt-one"))
    change(sibling)
    await snapshot.save_again(login("rt-two"))
    assert await snapshot.read()
    assert snapshot.credential == sibling.load().credential


async def test_what_is_deleted_unseen_is_returned(snapshot: Snapshot, sibling: FileStore) -> None:
    there = login()
    sibling.save(there)
    assert await snapshot.try_to_delete(everywhere=False) == there
    assert await snapshot.try_to_delete(everywhere=False) is None
    assert sibling.load().credential is None
