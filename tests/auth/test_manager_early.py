"""Renewing ahead of time, before use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.credentials import ManagedTokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import NotSignedIn, RefreshError
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.manager_rig import NOW, WAIT_SECONDS, Rig, managed, new_tokens, running_manager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_manager(Settings(home=str(tmp_path))) as running:
        yield running


async def test_a_token_with_more_than_two_minutes_left_is_used_as_it_is(rig: Rig) -> None:
    held = await rig.sign_in_managed(expires_at=NOW + 121)
    assert await rig.manager.for_request() is held
    assert rig.refreshes == 0


async def test_a_token_with_two_minutes_left_is_renewed_first(rig: Rig) -> None:
    held = await rig.sign_in_managed(expires_at=NOW + 121)
    rig.clock.now += 1
    fresh = await rig.manager.for_request()
    assert fresh is not None
    assert fresh.generation > held.generation
    assert rig.refreshes == 1


async def test_the_two_minutes_are_a_setting(tmp_path: Path) -> None:
    async with running_manager(Settings(home=str(tmp_path), refresh_skew=600)) as rig:
        await rig.sign_in_external(expires_at=NOW + 599)
        await rig.manager.for_request()
        assert rig.refreshes == 1


async def test_a_token_that_does_not_say_when_it_expires_is_used_until_it_is_refused(rig: Rig) -> None:
    await rig.sign_in_managed(expires_at=None)
    await rig.manager.for_request()
    assert rig.refreshes == 0


async def test_an_early_refresh_that_fails_leaves_the_old_token_while_it_is_valid(rig: Rig) -> None:
    held = await rig.sign_in_external(expires_at=NOW + 60)
    rig.refresher.answers = [RefreshError("the client is busy")]
    assert await rig.manager.for_request() is held


async def test_an_early_refresh_is_tried_once_per_credential(rig: Rig) -> None:
    held = await rig.sign_in_external(expires_at=NOW + 60)
    rig.refresher.answers = [RefreshError("the client is busy")]
    for _ in range(5):
        assert await rig.manager.for_request() is held
    assert rig.refreshes == 1
    renewed = await rig.manager.refresh(held.generation)  # a 401 asks all the same
    assert renewed.generation > held.generation


async def test_an_expired_token_is_not_fallen_back_to(rig: Rig) -> None:
    await rig.sign_in_external(expires_at=NOW + 60)
    rig.refresher.answers = [RefreshError("the client is busy"), RefreshError("the client is still busy")]
    await rig.manager.for_request()
    rig.clock.now += 60
    with pytest.raises(RefreshError, match="still busy"):
        await rig.manager.for_request()


async def test_new_tokens_that_expire_at_once_do_not_make_every_turn_refresh_twice(rig: Rig) -> None:
    await rig.sign_in_external(expires_at=NOW + 60)
    rig.refresher.answers = [new_tokens(expires_at=NOW + 30)]
    fresh = await rig.manager.for_request()
    assert rig.refreshes == 1
    assert fresh is await rig.held()


async def test_a_clock_that_is_ahead_does_not_make_every_turn_refresh(rig: Rig) -> None:
    await rig.sign_in_managed(expires_at=NOW - 60)
    rig.refresher.answers = [new_tokens(expires_at=NOW - 10)]
    for _ in range(3):
        assert await rig.manager.for_request() is await rig.held()
    assert rig.refreshes == 1
    await rig.manager.refresh((await rig.held()).generation)  # a 401 asks all the same
    assert rig.refreshes == 2


async def test_what_another_process_has_stored_is_no_answer_to_a_refusal_if_it_has_expired(tmp_path: Path) -> None:
    async with running_manager(Settings(home=str(tmp_path)), OffLoopStore(FileStore(str(tmp_path)))) as rig:
        refused = await rig.sign_in_managed("rt-one")
        await OffLoopStore(FileStore(str(tmp_path))).save(managed("rt-sibling", expires_at=NOW - 60))
        renewed = await rig.manager.refresh(refused.generation)
        assert rig.refreshes == 1
        assert isinstance(renewed.credential, ManagedTokens)
        assert renewed.credential.refresh_token == Secret("rt-two")


@pytest.mark.parametrize(("left", "needs"), [(-1, True), (60, False)])
async def test_an_expired_login_without_a_refresh_token_needs_another(rig: Rig, left: float, needs: bool) -> None:
    await rig.sign_in_managed(None, expires_at=NOW + left)
    assert (rig.manager.needs_login is not None) is needs


async def test_a_logout_during_an_early_refresh_does_not_fall_back_to_the_old_token(rig: Rig) -> None:
    await rig.sign_in_external(expires_at=NOW + 60)
    gate = rig.refresher.hold()
    failed = anyio.Event()

    async def use() -> None:
        with pytest.raises(NotSignedIn):
            await rig.manager.for_request()
        failed.set()

    rig.group.start_soon(use)
    await rig.asked()
    await rig.manager.sign_out()
    gate.set()
    with anyio.fail_after(WAIT_SECONDS):
        await failed.wait()
