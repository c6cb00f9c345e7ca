"""A store whose calls may block holds up neither the event loop nor the end of the process."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.stores import base, off_loop
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.file_lock import FileLock
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import StoreBusy, StoreError
from tests.auth.store_kit import RECORD, login

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import Contents

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0


@pytest.fixture
def store(tmp_path: Path) -> OffLoopStore:
    return OffLoopStore(FileStore(str(tmp_path)))


def lock(home: Path, purpose: str) -> FileLock:
    """The lock as another process takes it."""
    return FileLock(home / "auth.json", purpose, 0)


async def test_a_change_waits_for_another_process_while_the_loop_goes_on(store: OffLoopStore, tmp_path: Path) -> None:
    credential = login()
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            with lock(tmp_path, "change").held():
                group.start_soon(store.save, credential)
                await anyio.wait_all_tasks_blocked()
                assert (await store.load()).credential is None
    assert (await store.load()).credential == credential


async def test_a_redemption_waits_for_another_process_while_the_loop_goes_on(
    store: OffLoopStore, tmp_path: Path
) -> None:
    begun = anyio.Event()

    async def redeem() -> None:
        async with store.redeeming():
            begun.set()

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            with lock(tmp_path, "refresh").held():
                group.start_soon(redeem)
                await anyio.wait_all_tasks_blocked()
                await store.save(login())
                assert not begun.is_set()
    assert begun.is_set()


@pytest.mark.parametrize(("change", "bound"), [("save", "CHANGE"), ("delete", "CHANGE"), ("swap", "STORE")])
async def test_a_stuck_holder_leads_to_an_error_that_names_it_and_to_no_change(
    store: OffLoopStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, bound: str
) -> None:
    monkeypatch.setattr(base, f"{bound}_SECONDS", 0.05)
    FileStore(str(tmp_path)).save(there := login("rt-there"))
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "save": lambda: store.save(login()),
        "swap": lambda: store.swap(there, login()),
        "delete": lambda: store.delete(),
    }
    with lock(tmp_path, "change").held(), pytest.raises(StoreBusy, match=r"auth\.json\.change\.lock: held by another"):
        await calls[change]()
    assert (await store.load()).credential == there


async def test_nothing_waits_any_longer_once_it_is_told_so(store: OffLoopStore, tmp_path: Path) -> None:
    failed: list[str] = []

    async def save() -> None:
        with pytest.raises(StoreBusy):
            await store.save(login())
        failed.append("save")

    with lock(tmp_path, "change").held(), anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(save)
            await anyio.wait_all_tasks_blocked()
            assert failed == []
            store.stop_waiting()
        with pytest.raises(StoreBusy):
            await store.save(login())
    await store.save(login())  # what need not wait is still done
    assert failed == ["save"]


async def test_a_caller_that_is_cancelled_while_it_waits_changes_nothing(store: OffLoopStore, tmp_path: Path) -> None:
    with lock(tmp_path, "change").held():
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, login())
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert (await store.load()).credential is None
    assert store.version() == (None, None)


class Slow(FileStore):
    """A file on a disk that takes its time."""

    def __init__(self, home: str) -> None:
        super().__init__(home)
        self.begun = anyio.Event()
        self.may_go_on = Event()
        self.begin: Callable[[], object] = lambda: None

    def save(self, credential: Credential) -> None:
        self.begin()
        self.may_go_on.wait(WAIT_SECONDS)
        super().save(credential)

    def load(self) -> Contents:
        self.may_go_on.wait(WAIT_SECONDS)
        return super().load()


async def test_a_change_that_has_begun_is_completed_before_its_caller_is_cancelled(tmp_path: Path) -> None:
    disk, credential, done = Slow(str(tmp_path)), login(), list[str]()
    store, begun = OffLoopStore(disk), Event()
    disk.begin = begun.set

    async def save() -> None:
        await store.save(credential)
        done.append("saved")

    async with anyio.create_task_group() as group:
        group.start_soon(save)
        await anyio.to_thread.run_sync(begun.wait, WAIT_SECONDS)
        group.cancel_scope.cancel()
        disk.may_go_on.set()
    assert done == ["saved"]
    assert FileStore(str(tmp_path)).load().credential == credential


async def test_a_response_is_persisted_while_another_call_of_the_store_hangs(tmp_path: Path) -> None:
    disk = Slow(str(tmp_path))
    store = OffLoopStore(disk)
    async with anyio.create_task_group() as group, store.redeeming() as redemption:
        await redemption.prepare()
        group.start_soon(store.load)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(WAIT_SECONDS / 2):
            await redemption.write(RECORD)
        assert FileStore(str(tmp_path)).record() == RECORD
        disk.may_go_on.set()


async def test_a_disk_that_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(off_loop, "CALL_SECONDS", 0.05)
    disk = Slow(str(tmp_path))
    with pytest.raises(StoreError, match=r"has not answered within 0\.05s"):
        await OffLoopStore(disk).load()
    disk.may_go_on.set()
