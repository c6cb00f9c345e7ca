"""Homes that cannot keep a credential: nothing is redeemed for them, and what was redeemed all the same is not lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from threading import Event
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from appserver.auth import maintenance
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import StoreError
from appserver.server.serve import SHUTDOWN_SECONDS
from appserver.settings import Settings
from appserver.testing.ledger import RefreshState
from tests.auth.manager_rig import WAIT_SECONDS, Rig, managed, new_tokens, running_manager
from tests.handlers.accounts import store_login, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.auth.credentials import Credential
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

MOMENT = 0.2
"""In which a signal that does end a process has ended it."""

LONGER_THAN_A_SHUTDOWN = SHUTDOWN_SECONDS + 0.5

TOKEN_PATH, RESPONSES = "/oauth/token", "/v1/responses"


def is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def with_mounts(monkeypatch: pytest.MonkeyPatch, directory: Path, mounts: str) -> None:
    """Let processes start with these mounts, which nobody else sees."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("private mounts need Linux and unshare(1)")
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"private mounts are not allowed here: {tried.stderr.decode().strip()}")
    script = directory / "python-with-mounts"
    script.write_text(f'#!/bin/sh\nexec unshare --mount sh -ec \'{mounts}\nexec "{sys.executable}" "$@"\' sh "$@"\n')
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.fixture
def read_only(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let processes see the home as read-only. Permissions do that for anybody but root."""
    if is_root():
        with_mounts(monkeypatch, tmp_path, f'mount --bind "{home}" "{home}"\nmount -o remount,bind,ro "{home}"')
        yield
    elif sys.platform == "win32":
        pytest.skip("Windows has no read-only directories")
    else:
        yield
        home.chmod(0o700)


def close_for_writing(home: Path) -> None:
    """The part of `read_only` that can come only after the test has put its files there."""
    if not is_root():
        (home / "auth.json").chmod(0o400)
        home.chmod(0o500)


@pytest.mark.usefixtures("read_only")
async def test_a_read_only_home_redeems_nothing_and_the_turn_says_why(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    backend.expire_access_tokens()
    close_for_writing(home)
    async with process() as peer:
        thread = await peer.start_thread()
        for _ in range(2):
            turn = await peer.turn(thread)
            assert turn["status"] == "failed"
            assert "The tokens were not refreshed, because new ones could not be stored" in turn["error"]["message"]
            assert str(home / "auth.json") in turn["error"]["message"]
        read = await peer.result("account/read")
        assert read["account"]["type"] == "chatgpt"
        assert "needsLogin" not in read
    assert backend.requests.to(TOKEN_PATH) == []
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.LIVE


@pytest.mark.usefixtures("read_only")
async def test_a_read_only_home_refuses_a_login_and_keeps_the_old_one(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    close_for_writing(home)
    async with process() as peer:
        error = await peer.error("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        assert "cannot be" in error["message"]
        error = await peer.error("account/logout", {"scope": "local"})
        assert "cannot be" in error["message"]
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
        assert peer.methods.count("account/updated") == 0


async def test_a_file_that_is_a_mount_point_is_written_in_place(
    process: ServerFactory, backend: FakeBackend, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    store_login(host, backend.grant())
    (home / "auth.json").touch()
    with_mounts(monkeypatch, tmp_path, f'mount --bind "{host}/auth.json" "{home}/auth.json"')
    backend.expire_access_tokens()
    async with process() as peer:
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert backend.tokens.refresh_state(stored(host)["tokens"]["refresh_token"]) is RefreshState.LIVE


async def test_a_write_that_fails_after_the_redemption_is_made_up_for_before_the_process_ends(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    obstacle = home / "auth.json.change.lock"  # a directory: the lock around a change cannot be taken
    async with process() as peer:
        thread = await peer.start_thread()
        turn = await peer.start_turn(thread)
        await gate.reached.wait(WAIT_SECONDS)  # the probe has passed by now
        obstacle.unlink(missing_ok=True)
        obstacle.mkdir()
        gate.release()
        assert (await peer.finished_turn(turn))["status"] == "completed"
        assert (await peer.turn(thread))["status"] == "completed"
        assert stored(home)["tokens"]["refresh_token"] == grant.refresh_token
        obstacle.rmdir()
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert backend.tokens.refresh_state(stored(home)["tokens"]["refresh_token"]) is RefreshState.LIVE


@pytest.mark.parametrize("insisted", [False, True], ids=["once", "twice"])
async def test_a_process_that_is_told_to_end_waits_for_the_issuers_answer(
    process: ServerFactory, backend: FakeBackend, home: Path, insisted: bool
) -> None:
    if insisted and sys.platform == "win32":
        pytest.skip("there, SIGTERM ends a process without asking it")
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with process() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait(WAIT_SECONDS)
        assert peer.process is not None
        assert peer.process.stdin is not None
        await peer.process.stdin.aclose()
        assert (await peer.finished_turn(turn))["status"] == "interrupted"
        with anyio.move_on_after(LONGER_THAN_A_SHUTDOWN) as waited:
            await peer.process.wait()
        assert waited.cancelled_caught
        if insisted:
            peer.process.terminate()
        with anyio.move_on_after(MOMENT):
            await peer.process.wait()
        gate.release()
        with anyio.fail_after(WAIT_SECONDS):
            assert await peer.process.wait() == (128 + signal.SIGTERM if insisted else 0)
    assert backend.tokens.refresh_state(stored(home)["tokens"]["refresh_token"]) is RefreshState.LIVE


async def test_tokens_of_a_process_that_was_killed_before_it_could_store_them_are_found_by_the_next(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    obstacle = home / "auth.json.change.lock"
    async with process() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait(WAIT_SECONDS)
        obstacle.unlink(missing_ok=True)
        obstacle.mkdir()
        gate.release()
        assert (await peer.finished_turn(turn))["status"] == "completed"
        assert peer.process is not None
        peer.process.kill()
        await peer.process.wait()
        obstacle.rmdir()
    async with process() as peer:
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
        assert peer.methods.count("account/updated") == 0
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert backend.tokens.refresh_state(stored(home)["tokens"]["refresh_token"]) is RefreshState.LIVE
    assert not [path for path in home.iterdir() if path.name.startswith(".auth")]


class FullDisk(FileStore):
    """A store whose disk is full as long as `full` says so."""

    full = True

    def __init__(self, home: str) -> None:
        super().__init__(home)
        self.written = Event()

    def swap(self, old: Credential | None, new: Credential) -> None:
        if self.full:
            raise StoreError("No space left on device")
        super().swap(old, new)
        self.written.set()


async def renewed_on_a_full_disk(rig: Rig) -> None:
    held = await rig.sign_in_managed("rt-one")
    renewed = await rig.manager.refresh(held.generation)
    assert renewed is await rig.held()
    assert await rig.stored() == held.credential
    assert (await rig.held()).credential != held.credential


async def test_a_write_that_failed_is_made_up_for_while_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "STORE_AGAIN_SECONDS", 0.002)
    store = FullDisk(str(tmp_path))
    async with running_manager(Settings(home=str(tmp_path)), OffLoopStore(store)) as rig:
        await renewed_on_a_full_disk(rig)
        rig.group.start_soon(rig.maintenance.run)
        store.full = False
        with anyio.fail_after(WAIT_SECONDS):
            await anyio.to_thread.run_sync(store.written.wait, WAIT_SECONDS, abandon_on_cancel=True)
        assert store.load().credential == (await rig.held()).credential
        assert rig.told == []


async def test_credentials_that_could_not_be_stored_can_be_renewed_again(tmp_path: Path) -> None:
    store = FullDisk(str(tmp_path))
    async with running_manager(Settings(home=str(tmp_path)), OffLoopStore(store)) as rig:
        await renewed_on_a_full_disk(rig)
        store.full = False
        rig.refresher.answers = [new_tokens("rt-three")]
        await rig.manager.refresh((await rig.held()).generation)
        assert rig.refresher.requests[1].credential != rig.refresher.requests[0].credential
        assert store.load().credential == (await rig.held()).credential


async def test_a_login_elsewhere_counts_more_than_what_could_not_be_stored(tmp_path: Path) -> None:
    store, login = FullDisk(str(tmp_path)), managed("rt-login", account="org-2")
    async with running_manager(Settings(home=str(tmp_path)), OffLoopStore(store)) as rig:
        await renewed_on_a_full_disk(rig)
        store.full = False
        FileStore(str(tmp_path)).save(login)
        await rig.manager.wind_down()
        assert store.load().credential == login
        assert (await rig.held()).credential == login
