"""Refreshing: once for any number of callers, safe against logins and logouts meanwhile, and never twice in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth import manager as manager_module
from appserver.auth.credentials import ManagedTokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import NotSignedIn, RefreshError
from appserver.settings import Settings
from tests.auth.manager_rig import NOW, Rig, managed, new_tokens, running_manager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.auth.stores.base import CredentialStore
    from tests.auth.store_kit import Reopen

pytestmark = pytest.mark.anyio

in_a_file = pytest.mark.parametrize("place", ["file"], indirect=True)

ENDED = "The login has ended"


@pytest.fixture
def elsewhere(place: Reopen) -> CredentialStore:
    """The same place as another process sees it."""
    return place()


@pytest.fixture
async def rig(tmp_path: Path, place: Reopen) -> AsyncIterator[Rig]:
    async with running_manager(Settings(home=str(tmp_path)), place()) as running:
        yield running


@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_any_number_of_callers_cause_one_refresh(rig: Rig, kind: str) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()
    gate = rig.refresher.hold()
    outcomes = [rig.start_refresh(held.generation) for _ in range(64)]
    await rig.asked()
    gate.set()
    got = {(await outcome.held()).generation for outcome in outcomes}
    assert rig.refreshes == 1
    assert got == {(await rig.held()).generation}


async def test_a_caller_that_is_late_gets_what_another_has_already_renewed(rig: Rig) -> None:
    held = await rig.sign_in_managed()
    renewed = await rig.manager.refresh(held.generation)
    assert await rig.manager.refresh(held.generation) is renewed
    assert rig.refreshes == 1


async def test_a_cancelled_caller_does_not_cancel_the_refresh(rig: Rig) -> None:
    held = await rig.sign_in_managed("rt-one")
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    outcome.scope.cancel()
    gate.set()
    await rig.refresh_over()
    renewed = (await rig.held()).credential
    assert isinstance(renewed, ManagedTokens)
    assert renewed.refresh_token is not None
    assert renewed.refresh_token.reveal() == "rt-two"


async def test_a_cancelled_caller_does_not_fail_the_others(rig: Rig) -> None:
    held = await rig.sign_in_external()
    gate = rig.refresher.hold()
    first, second = rig.start_refresh(held.generation), rig.start_refresh(held.generation)
    await rig.asked()
    first.scope.cancel()
    gate.set()
    assert (await second.held()).generation > held.generation


@in_a_file
@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_a_refresh_that_arrives_after_a_logout_does_not_bring_the_account_back(
    rig: Rig, kind: str, tmp_path: Path
) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    await rig.manager.sign_out()
    gate.set()
    await rig.refresh_over()
    with pytest.raises(NotSignedIn):
        await outcome.held()
    assert await rig.manager.look() is None
    assert not (tmp_path / "auth.json").exists()


@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_a_logout_before_a_refresh_has_begun_is_not_undone_by_it(rig: Rig, kind: str) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()

    async def sign_out() -> None:
        await rig.manager.in_order(rig.manager.sign_out)

    outcome = rig.start_refresh(held.generation)
    rig.group.start_soon(sign_out)  # which runs when the refresh has a task that has not run yet
    with pytest.raises(NotSignedIn):
        await outcome.held()
    await rig.refresh_over()
    assert rig.refreshes == 0 or kind == "external"  # whose refresh has nothing to look at first
    assert await rig.manager.look() is None
    assert await rig.stored() is None


async def test_a_refresh_of_an_earlier_login_does_not_bring_back_what_another_process_has_ended(
    rig: Rig, elsewhere: CredentialStore
) -> None:
    held = await rig.sign_in_managed()
    gate = rig.refresher.hold()
    rig.start_refresh(held.generation)
    await rig.asked()
    await rig.sign_in_managed("rt-login", account="org-2")
    await elsewhere.delete()
    gate.set()
    await rig.refresh_over()  # and what is not stored yet would be
    assert await rig.stored() is None
    assert await rig.manager.look() is None


@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_a_refresh_that_arrives_after_another_login_does_not_replace_it(rig: Rig, kind: str) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    if kind == "managed":
        login = await rig.sign_in_managed("rt-login", account="org-2")
    else:
        login = await rig.sign_in_external(account="org-2")
    gate.set()
    await rig.refresh_over()
    assert await outcome.held() is login
    assert await rig.held() is login
    assert await rig.stored() == (login.credential if kind == "managed" else None)


@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_whoever_waits_for_a_refresh_goes_on_with_a_login_that_comes_meanwhile(rig: Rig, kind: str) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    login = await rig.sign_in_external(account="org-2")
    assert await outcome.held() is login
    gate.set()


@pytest.mark.parametrize("kind", ["managed", "external"])
async def test_whoever_waits_for_a_refresh_is_told_of_a_logout_at_once(rig: Rig, kind: str) -> None:
    held = await rig.sign_in_managed() if kind == "managed" else await rig.sign_in_external()
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    await rig.manager.sign_out()
    with pytest.raises(NotSignedIn, match="Signed out"):
        await outcome.held()
    gate.set()


async def test_a_refresh_that_fails_after_another_login_lets_the_turn_go_on_with_that(rig: Rig) -> None:
    held = await rig.sign_in_external()
    gate = rig.refresher.hold()
    rig.refresher.answers = [RefreshError("user signed out")]
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    login = await rig.sign_in_external(account="org-2")
    gate.set()
    assert await outcome.held() is login


async def test_a_managed_refresh_that_ends_after_an_external_login_is_stored_and_not_used(rig: Rig) -> None:
    held = await rig.sign_in_managed("rt-one")
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    login = await rig.sign_in_external()
    gate.set()
    await rig.refresh_over()
    assert await outcome.held() is login
    stored = await rig.stored()
    assert isinstance(stored, ManagedTokens)
    assert stored.refresh_token is not None
    assert stored.refresh_token.reveal() == "rt-two"


async def test_a_permanent_failure_is_told_at_once_the_next_time(rig: Rig) -> None:
    held = await rig.sign_in_managed()
    rig.refresher.answers = [RefreshError(ENDED, permanent=True)]
    for _ in range(3):
        with pytest.raises(RefreshError, match=ENDED):
            await rig.manager.refresh(held.generation)
    assert rig.refreshes == 1
    await rig.manager.look()
    assert rig.manager.needs_login == ENDED


async def test_a_permanent_failure_of_external_tokens_is_remembered_for_exactly_those(rig: Rig) -> None:
    held = await rig.sign_in_external()
    rig.refresher.answers = [RefreshError(ENDED, permanent=True)]
    for _ in range(3):
        with pytest.raises(RefreshError, match=ENDED):
            await rig.manager.refresh(held.generation)
    assert rig.refreshes == 1
    again = await rig.sign_in_external()
    await rig.manager.refresh(again.generation)
    assert rig.refreshes == 2


@in_a_file
async def test_a_permanent_failure_is_known_after_a_restart(rig: Rig, tmp_path: Path) -> None:
    held = await rig.sign_in_managed("rt-dead")
    rig.refresher.answers = [RefreshError(ENDED, permanent=True)]
    with pytest.raises(RefreshError, match=ENDED):
        await rig.manager.refresh(held.generation)
    async with running_manager(Settings(home=str(tmp_path)), OffLoopStore(FileStore(str(tmp_path)))) as second:
        await second.held()
        assert second.manager.needs_login == ENDED
        with pytest.raises(RefreshError, match=ENDED):
            await second.manager.refresh((await second.held()).generation)
        assert second.refreshes == 0
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "auth.json")
    assert b"rt-dead" not in kept


async def test_a_permanent_failure_is_forgotten_when_the_file_changes(rig: Rig, elsewhere: CredentialStore) -> None:
    held = await rig.sign_in_managed("rt-dead")
    rig.refresher.answers = [RefreshError(ENDED, permanent=True)]
    with pytest.raises(RefreshError, match=ENDED):
        await rig.manager.refresh(held.generation)
    await elsewhere.save(managed("rt-alive"))
    await rig.manager.look()
    assert rig.manager.needs_login is None
    await rig.manager.refresh((await rig.held()).generation)
    assert rig.refreshes == 2


async def test_a_login_after_a_permanent_failure_can_be_refreshed(rig: Rig) -> None:
    held = await rig.sign_in_managed("rt-dead")
    rig.refresher.answers = [RefreshError(ENDED, permanent=True)]
    with pytest.raises(RefreshError, match=ENDED):
        await rig.manager.refresh(held.generation)
    login = await rig.sign_in_managed("rt-alive")
    assert rig.manager.needs_login is None
    assert (await rig.manager.refresh(login.generation)).generation > login.generation


async def test_a_transient_failure_is_not_remembered(rig: Rig) -> None:
    held = await rig.sign_in_managed()
    rig.refresher.answers = [RefreshError("HTTP 503")]
    with pytest.raises(RefreshError, match="503"):
        await rig.manager.refresh(held.generation)
    assert rig.manager.needs_login is None
    assert (await rig.manager.refresh(held.generation)).generation > held.generation
    assert rig.refreshes == 2


async def test_tokens_of_another_workspace_fail_the_refresh_and_the_next_one_can_succeed(tmp_path: Path) -> None:
    async with running_manager(Settings(home=str(tmp_path), forced_workspaces=("org-1",))) as rig:
        held = await rig.sign_in_external(account="org-1")
        rig.refresher.answers = [new_tokens(account="org-2"), new_tokens(account="org-1")]
        with pytest.raises(RefreshError, match=r"restricted to workspace\(s\) org-1.*belong to org-2"):
            await rig.manager.refresh(held.generation)
        assert await rig.held() is held
        assert (await rig.manager.refresh(held.generation)).generation > held.generation


async def test_a_sibling_that_signed_in_elsewhere_counts_on_a_401(rig: Rig, elsewhere: CredentialStore) -> None:
    held = await rig.sign_in_managed()
    await elsewhere.save(managed("rt-sibling"))
    assert (await rig.manager.refresh(held.generation)).credential == await rig.stored()
    assert rig.refreshes == 0


async def test_a_sibling_in_a_workspace_that_is_not_allowed_is_neither_used_nor_overwritten(
    tmp_path: Path, elsewhere: CredentialStore
) -> None:
    store, sibling = OffLoopStore(FileStore(str(tmp_path))), managed("rt-sibling", account="org-2")
    async with running_manager(Settings(home=str(tmp_path), forced_workspaces=("org-1",)), store) as rig:
        held = await rig.sign_in_managed(account="org-1")
        redeeming = rig.store.redeeming()
        async with redeeming:
            outcome = rig.start_refresh(held.generation)
            await anyio.wait_all_tasks_blocked()
            await OffLoopStore(FileStore(str(tmp_path))).save(sibling)
        with pytest.raises(NotSignedIn, match="restricted to workspace"):
            await outcome.held()
        assert await rig.manager.look() is None
        with pytest.raises(NotSignedIn):
            await rig.manager.refresh(held.generation)
        assert (await store.load()).credential == sibling
        assert rig.refreshes == 0


async def test_a_late_answer_is_used_by_the_next_turn(rig: Rig) -> None:
    held = await rig.sign_in_external()
    rig.refresher.answers = [RefreshError("auth refresh request timed out after 10s")]
    with pytest.raises(RefreshError, match="timed out"):
        await rig.manager.refresh(held.generation)
    rig.refresher.requests[0].late(new_tokens(expires_at=NOW + 9000))
    assert (await rig.held()).generation > held.generation
    assert (await rig.held()).credential.is_external
    assert (await rig.held()).credential.expires_at == NOW + 9000


async def test_a_late_answer_serves_whoever_has_asked_again_meanwhile(rig: Rig) -> None:
    held = await rig.sign_in_external()
    rig.refresher.answers = [RefreshError("timed out"), RefreshError("timed out again")]
    with pytest.raises(RefreshError):
        await rig.manager.refresh(held.generation)
    gate = rig.refresher.hold()
    outcome = rig.start_refresh(held.generation)
    await rig.asked()
    rig.refresher.requests[0].late(new_tokens(expires_at=NOW + 9000))
    assert await outcome.held() is await rig.held()
    gate.set()
    await rig.refresh_over()
    assert (await rig.held()).credential.bearer == (await outcome.held()).credential.bearer


async def test_a_refresher_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_module, "REFRESHER_SECONDS", 0.01)
    async with running_manager(Settings(home=str(tmp_path), refresh_timeout=0.01)) as rig:
        held = await rig.sign_in_external()
        rig.refresher.hold()
        with pytest.raises(RefreshError, match=r"did not answer within 0\.01s"):
            await rig.manager.refresh(held.generation)
        rig.refresher.gate = None
        assert (await rig.manager.refresh(held.generation)).generation > held.generation


async def test_a_late_answer_after_a_logout_or_another_login_is_dropped(rig: Rig) -> None:
    held = await rig.sign_in_external()
    rig.refresher.answers = [RefreshError("timed out")]
    with pytest.raises(RefreshError):
        await rig.manager.refresh(held.generation)
    late = rig.refresher.requests[0].late
    await rig.manager.sign_out()
    late(new_tokens())
    assert await rig.manager.look() is None
    login = await rig.sign_in_external(account="org-2")
    late(new_tokens())
    assert await rig.held() is login


async def test_a_late_answer_for_another_workspace_is_not_used(tmp_path: Path) -> None:
    async with running_manager(Settings(home=str(tmp_path), forced_workspaces=("org-1",))) as rig:
        held = await rig.sign_in_external(account="org-1")
        rig.refresher.answers = [RefreshError("timed out")]
        with pytest.raises(RefreshError):
            await rig.manager.refresh(held.generation)
        with pytest.raises(RefreshError, match="restricted"):
            rig.refresher.requests[0].late(new_tokens(account="org-2"))
        assert await rig.held() is held


async def test_a_refresh_is_announced_only_if_it_changes_what_is_seen_of_the_account(rig: Rig) -> None:
    held = await rig.sign_in_external(plan="pro")
    rig.refresher.answers = [new_tokens(plan="pro"), new_tokens(plan="team")]
    held = await rig.manager.refresh(held.generation)
    assert rig.told == []
    await rig.manager.refresh(held.generation)
    assert rig.told == ["chatgptAuthTokens"]
