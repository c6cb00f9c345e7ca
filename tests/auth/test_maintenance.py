"""While nobody asks: what other processes store is noticed, what is left over stored, and tokens are renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth import maintenance
from appserver.auth.credentials import ApiKey, ManagedTokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.refused_tokens import fingerprint
from appserver.errors import RefreshError
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.manager_rig import NOW, WAIT_SECONDS, Rig, managed, running_manager

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from appserver.auth.credentials import Credential

pytestmark = pytest.mark.anyio


async def watched(rig: Rig) -> None:
    """Let the background look a few times."""
    rig.group.start_soon(rig.maintenance.run)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every few milliseconds."""
    monkeypatch.setattr(maintenance, "LOOK_SECONDS", 0.002)
    monkeypatch.setattr(maintenance, "STORE_AGAIN_SECONDS", 0.002)


def eager(home: Path, *, external: bool = False) -> Settings:
    """Renew in the background what has less than ten minutes left, at every look."""
    return Settings(home=str(home), background_interval=0.001, background_skew=600.0, background_external=external)


@pytest.mark.usefixtures("quick")
async def test_a_token_that_will_expire_is_renewed_while_nobody_uses_it(tmp_path: Path) -> None:
    async with running_manager(eager(tmp_path)) as rig:
        await rig.sign_in_managed(expires_at=NOW + 599)
        await watched(rig)
        await rig.asked()
        await rig.refresh_over()
        assert (await rig.held()).credential != rig.refresher.requests[0].credential


async def looked(rig: Rig, monkeypatch: pytest.MonkeyPatch, times: int = 5) -> None:
    """Wait until the background has looked so often."""
    (account,) = rig.maintenance._accounts.values()
    renewal = account._periodic[-1]
    seen, done, renew_ahead = 0, anyio.Event(), renewal._act

    async def counting() -> None:
        nonlocal seen
        await renew_ahead()
        seen += 1
        if seen >= times:
            done.set()

    monkeypatch.setattr(renewal, "_act", counting)
    await watched(rig)
    with anyio.fail_after(WAIT_SECONDS):
        await done.wait()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("who", ["nobody", "an API key", "external tokens", "a token with time left", "a dead token"])
async def test_the_background_leaves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    async with running_manager(eager(tmp_path)) as rig:
        match who:
            case "an API key":
                await rig.manager.sign_in(ApiKey(Secret("sk-test")))
            case "external tokens":
                await rig.sign_in_external(expires_at=NOW + 10)
            case "a token with time left":
                await rig.sign_in_managed(expires_at=NOW + 700)
            case "a dead token":
                held = await rig.sign_in_managed(expires_at=NOW + 10)
                rig.refresher.answers = [RefreshError("the login has ended", permanent=True)]
                with pytest.raises(RefreshError):
                    await rig.manager.refresh(held.generation)
                rig.refresher.requests.clear()
        await looked(rig, monkeypatch)
        assert rig.refreshes == 0


@pytest.mark.usefixtures("quick")
async def test_the_background_renews_external_tokens_where_that_is_asked_for(tmp_path: Path) -> None:
    async with running_manager(eager(tmp_path, external=True)) as rig:
        await rig.sign_in_external(expires_at=NOW + 10)
        await watched(rig)
        await rig.asked()


@pytest.mark.usefixtures("quick")
async def test_a_failure_in_the_background_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_manager(eager(tmp_path)) as rig:
        await rig.sign_in_managed(expires_at=NOW + 10)
        rig.refresher.answers = [RefreshError("HTTP 503"), ValueError("a fault"), RefreshError("HTTP 503")]
        await looked(rig, monkeypatch, times=4)
        assert rig.refreshes == 4


@pytest.mark.usefixtures("quick")
async def test_a_change_elsewhere_is_told_while_a_renewal_is_under_way(tmp_path: Path) -> None:
    async with running_manager(eager(tmp_path), OffLoopStore(FileStore(str(tmp_path)))) as rig:
        told = anyio.Event()
        await rig.sign_in_managed(expires_at=NOW + 10)
        gate = rig.refresher.hold()
        rig.manager.on_change = told.set
        await watched(rig)
        await rig.asked()
        await OffLoopStore(FileStore(str(tmp_path))).save(managed("rt-login", account="org-2"))
        with anyio.fail_after(WAIT_SECONDS):
            await told.wait()
        gate.set()
        await rig.refresh_over()


@pytest.mark.usefixtures("quick")
async def test_what_a_dead_process_has_left_is_stored_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OffLoopStore(FileStore(str(tmp_path)))
    old, next_one = managed("rt-one"), managed("rt-two")
    await store.save(old)
    async with store.redeeming() as redemption:
        await redemption.prepare()
        await redemption.write(record_of(old, next_one))
    async with running_manager(Settings(home=str(tmp_path)), store) as rig:
        told = anyio.Event()
        put = store.swap

        async def tell(before: Credential, after: Credential) -> None:
            await put(before, after)
            told.set()

        monkeypatch.setattr(store, "swap", tell)
        await watched(rig)
        with anyio.fail_after(WAIT_SECONDS):
            await told.wait()
        assert isinstance((await rig.held()).credential, ManagedTokens)
        assert (await rig.held()).credential.refresh_token == Secret("rt-two")
        assert rig.refreshes == 0
        assert rig.told == []


@pytest.mark.usefixtures("quick")
async def test_a_fault_while_looking_is_logged_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = OffLoopStore(FileStore(str(tmp_path)))
    async with running_manager(Settings(home=str(tmp_path)), store) as rig:
        assert await rig.manager.look() is None
        told, version, faults = anyio.Event(), store.version, [ValueError("a fault"), ValueError("another")]
        rig.manager.on_change = told.set

        def failing() -> Hashable:
            if faults:
                raise faults.pop()
            return version()

        monkeypatch.setattr(store, "version", failing)
        await OffLoopStore(FileStore(str(tmp_path))).save(managed())
        await watched(rig)
        with anyio.fail_after(WAIT_SECONDS):
            await told.wait()
        assert faults == []
    assert "failed unexpectedly" in caplog.text


def record_of(old: ManagedTokens, new: ManagedTokens) -> dict[str, object]:
    """What a process writes down that has redeemed the old login's refresh token."""
    assert old.refresh_token is not None
    assert new.refresh_token is not None
    return {
        "redeemed_sha256": fingerprint(old.refresh_token),
        "access_token": new.access_token.reveal(),
        "refresh_token": new.refresh_token.reveal(),
    }
