"""One redemption: looked at again under the lock, not for what could not be kept, stored against what was redeemed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.auth.credentials import ManagedTokens
from appserver.auth.refresh.base import RefreshedTokens, RefreshRequest
from appserver.auth.refresh.redemption import Redeemed, Redeemer
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import RefreshError, StoreError
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.disks import names
from tests.auth.manager_rig import WAIT_SECONDS, ScriptedRefresher, jwt, managed, new_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.auth.credentials import Credential

pytestmark = pytest.mark.anyio


class Home:
    """A home with a store, and a redeemer on it."""

    def __init__(self, path: Path, forced_workspaces: tuple[str, ...] = ()) -> None:
        self.path = path
        self.store = OffLoopStore(FileStore(str(path)))
        self.refresher = ScriptedRefresher()
        settings = Settings(home=str(path), forced_workspaces=forced_workspaces)
        self.redeemer = Redeemer(settings, self.store, lambda: "2026-02-02")

    async def redeem(self, old: ManagedTokens, expected: Credential | None) -> Redeemed:
        request = RefreshRequest(old, late=lambda _: None)
        return await self.redeemer.redeem(self.refresher, request, expected)

    async def stored(self) -> Credential | None:
        return (await self.store.load()).credential

    async def refusal(self) -> str | None:
        return (await self.store.load()).refusal

    @property
    def redemptions(self) -> int:
        return len(self.refresher.requests)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
async def old(home: Home) -> ManagedTokens:
    """The login that is stored."""
    credential = managed("rt-one")
    await home.store.save(credential)
    return credential


async def refuse(*_: object) -> None:
    raise StoreError("No space left on device")


async def test_new_tokens_are_stored_with_the_time_of_the_refresh(home: Home, old: ManagedTokens) -> None:
    redeemed = await home.redeem(old, old)
    assert redeemed.credential == redeemed.stored == await home.stored()
    assert isinstance(redeemed.credential, ManagedTokens)
    assert redeemed.credential.last_refresh == "2026-02-02"
    assert redeemed.credential.refresh_token == Secret("rt-two")


@pytest.mark.parametrize("missing", ["id_token", "access_token", "refresh_token"])
async def test_what_the_issuer_leaves_out_stays_as_it_was(home: Home, old: ManagedTokens, missing: str) -> None:
    given: dict[str, Any] = {"id_token": jwt(None), "access_token": jwt(), "refresh_token": Secret("rt-two")}
    home.refresher.answers = [RefreshedTokens(**given)._replace(**{missing: None})]
    await home.redeem(old, old)
    stored = await home.stored()
    for name, token in given.items():
        assert getattr(stored, name) == (getattr(old, name) if name == missing else token)


@pytest.mark.parametrize("sibling", [managed("rt-sibling"), managed("rt-other", account="org-2"), None])
async def test_what_another_process_has_stored_is_taken_over_instead(
    home: Home, old: ManagedTokens, sibling: ManagedTokens | None
) -> None:
    await home.store.delete()
    if sibling is not None:
        await home.store.save(sibling)
    redeemed = await home.redeem(old, old)
    assert redeemed == Redeemed(sibling, sibling)
    assert home.redemptions == 0


async def test_the_store_is_looked_at_again_after_waiting_for_the_lock(home: Home, old: ManagedTokens) -> None:
    found: list[Redeemed] = []

    async def redeem() -> None:
        found.append(await home.redeem(old, old))

    sibling = managed("rt-sibling")
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group, OffLoopStore(FileStore(str(home.path))).redeeming():
            group.start_soon(redeem)
            await anyio.wait_all_tasks_blocked()
            await OffLoopStore(FileStore(str(home.path))).save(sibling)
    assert found == [Redeemed(sibling, sibling)]
    assert home.redemptions == 0


async def test_two_redeemers_of_one_home_redeem_once(home: Home, old: ManagedTokens) -> None:
    other = Home(home.path)
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(home.redeem, old, old)
            group.start_soon(other.redeem, old, old)
    assert home.redemptions + other.redemptions == 1


async def test_a_dead_token_is_not_redeemed(home: Home, old: ManagedTokens) -> None:
    assert old.refresh_token is not None
    await home.store.refuse(old.refresh_token, "the login has ended")
    with pytest.raises(RefreshError, match="the login has ended") as caught:
        await home.redeem(old, old)
    assert caught.value.permanent
    assert home.redemptions == 0


async def test_only_a_permanent_failure_makes_a_token_dead(home: Home, old: ManagedTokens) -> None:
    assert old.refresh_token is not None
    home.refresher.answers = [RefreshError("HTTP 503"), RefreshError("reused", permanent=True)]
    with pytest.raises(RefreshError, match="503"):
        await home.redeem(old, old)
    assert await home.refusal() is None
    with pytest.raises(RefreshError, match="reused"):
        await home.redeem(old, old)
    assert await home.refusal() == "reused"


async def test_a_token_that_another_process_has_redeemed_meanwhile_is_no_failure(
    home: Home, old: ManagedTokens
) -> None:
    home.refresher.answers = [RefreshError("reused", permanent=True)]
    gate, found, sibling = home.refresher.hold(), list[Redeemed](), managed("rt-sibling")

    async def redeem() -> None:
        found.append(await home.redeem(old, old))

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(redeem)
            await home.refresher.asked.wait()
            await home.store.save(sibling)  # its lock was a lease, for one, and this process was suspended
            gate.set()
    assert found == [Redeemed(sibling, sibling)]
    assert await home.refusal() is None


async def test_nothing_is_redeemed_that_could_not_be_stored(home: Home, old: ManagedTokens) -> None:
    home.path.joinpath(".auth.json.redeemed").mkdir()
    with pytest.raises(RefreshError, match=r"not refreshed, because .*auth\.json\.redeemed") as caught:
        await home.redeem(old, old)
    assert not caught.value.permanent
    assert home.redemptions == 0


async def test_tokens_whose_storing_fails_are_returned_all_the_same(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home.store, "swap", refuse)
    redeemed = await home.redeem(old, old)
    assert redeemed.stored == old
    assert redeemed.credential != old
    assert redeemed.credential is not None


@pytest.mark.parametrize("after", [managed("rt-login", account="org-2"), None])
@pytest.mark.parametrize("everywhere", [False, True], ids=["on this machine", "everywhere"])
async def test_a_login_or_logout_while_the_issuer_answers_is_not_overwritten(
    home: Home, old: ManagedTokens, after: ManagedTokens | None, everywhere: bool
) -> None:
    gate, found = home.refresher.hold(), []

    async def redeem() -> None:
        found.append(await home.redeem(old, old))

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(redeem)
            await home.refresher.asked.wait()
            await home.store.delete(everywhere=everywhere)
            if after is not None:
                await home.store.save(after)
            gate.set()
    [redeemed] = found
    assert redeemed[:2] == (after, after)
    assert (redeemed.orphan and redeemed.orphan.refresh_token) == (Secret("rt-two") if everywhere else None)
    assert await home.stored() == after
    assert names(home.path) <= {"auth.json"}


async def test_tokens_of_another_account_are_not_stored(home: Home, old: ManagedTokens) -> None:
    home.refresher.answers = [new_tokens(account="org-2")]
    for _ in range(2):  # the refresh token is spent: the issuer would only say that it was used before
        with pytest.raises(RefreshError, match="tokens of org-2, but the login is org-1") as caught:
            await home.redeem(old, old)
        assert caught.value.permanent
    assert home.redemptions == 1
    assert await home.stored() == old
    assert not (home.path / ".auth.json.redeemed").exists()


async def test_after_an_answer_without_a_refresh_token_the_old_one_may_be_tried_again(
    home: Home, old: ManagedTokens
) -> None:
    home.refresher.answers = [new_tokens(None, account="org-2")]
    with pytest.raises(RefreshError, match="tokens of org-2") as caught:
        await home.redeem(old, old)
    assert not caught.value.permanent
    await home.redeem(old, old)
    assert home.redemptions == 2


async def test_tokens_of_a_workspace_that_is_not_allowed_are_not_stored(tmp_path: Path) -> None:
    home, old = Home(tmp_path, forced_workspaces=("org-1", "org-3")), managed(account="org-2")
    await home.store.save(old)
    with pytest.raises(RefreshError, match=r"restricted to workspace\(s\) org-1, org-3"):
        await home.redeem(old, old)
    assert await home.stored() == old


async def test_a_store_that_cannot_be_read_fails_the_refresh(home: Home, old: ManagedTokens) -> None:
    (home.path / "auth.json").write_text("not json")
    with pytest.raises(RefreshError, match=r"not refreshed: .*it is not JSON"):
        await home.redeem(old, old)
    assert home.redemptions == 0


async def test_the_lock_is_free_after_a_failure(home: Home, old: ManagedTokens) -> None:
    home.refresher.answers = [RefreshError("HTTP 503"), ValueError("a fault")]
    for expected in (RefreshError, ValueError):
        with pytest.raises(expected):
            await home.redeem(old, old)
    with anyio.fail_after(WAIT_SECONDS):
        assert (await home.redeem(old, old)).credential is not None


# A process that dies after the issuer's answer


class Death(BaseException):
    """Ends a redemption where a process would have been killed."""


async def die_before_storing(home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeem, and die before the answer is in the store."""

    async def die(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(home.store, "swap", die)
        with pytest.raises(Death):
            await home.redeem(old, old)
    assert await home.stored() == old


async def test_the_answer_to_a_process_that_died_is_found_by_the_next(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die_before_storing(home, old, monkeypatch)
    other = Home(home.path)
    redeemed = await other.redeem(old, old)
    assert redeemed.credential == redeemed.stored == await home.stored()
    assert isinstance(redeemed.credential, ManagedTokens)
    assert redeemed.credential.refresh_token == Secret("rt-two")
    assert (home.redemptions, other.redemptions) == (1, 0)
    assert {path.name for path in home.path.iterdir() if path.suffix != ".lock"} == {"auth.json"}


@pytest.mark.parametrize("missing", ["id_token", "access_token", "refresh_token"])
async def test_what_is_missing_in_such_an_answer_stays_as_it_was(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    given = new_tokens()._replace(**{missing: None})
    home.refresher.answers = [given]
    await die_before_storing(home, old, monkeypatch)
    await Home(home.path).redeem(old, old)
    stored = await home.stored()
    for name in ("id_token", "access_token", "refresh_token"):
        assert getattr(stored, name) == getattr(old if name == missing else given, name)


async def test_an_answer_for_another_login_is_not_used(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die_before_storing(home, old, monkeypatch)
    left = (home.path / ".auth.json.redeemed").read_bytes()
    again = managed("rt-again")
    await home.store.save(again)
    (home.path / ".auth.json.redeemed").write_bytes(left)
    home.refresher.answers = [new_tokens("rt-three")]
    redeemed = await home.redeem(again, again)
    assert isinstance(redeemed.credential, ManagedTokens)
    assert redeemed.credential.refresh_token == Secret("rt-three")


@pytest.mark.parametrize("change", ["a login", "a logout", "a logout after the file is gone"])
async def test_a_login_or_logout_removes_such_an_answer(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await die_before_storing(home, old, monkeypatch)
    if change == "a login":
        await home.store.save(managed("rt-again"))
    else:
        if change != "a logout":
            (home.path / "auth.json").unlink()
        await home.store.delete()
    assert not (home.path / ".auth.json.redeemed").exists()


async def test_a_redemption_that_is_refused_leaves_no_record(home: Home, old: ManagedTokens) -> None:
    home.refresher.answers = [RefreshError("HTTP 503")]
    with pytest.raises(RefreshError):
        await home.redeem(old, old)
    assert not (home.path / ".auth.json.redeemed").exists()


async def test_tokens_that_could_not_be_stored_are_found_by_the_next_process(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(home.store, "swap", refuse)
        redeemed = await home.redeem(old, old)
    other = Home(home.path)
    assert (await other.redeem(old, old)).credential == redeemed.credential
    assert other.redemptions == 0


async def test_tokens_that_are_not_stored_yet_are_stored_before_theirs_is_redeemed(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.refresher.answers = [new_tokens("rt-two"), new_tokens("rt-three")]
    with monkeypatch.context() as patch:
        patch.setattr(home.store, "swap", refuse)
        second = (await home.redeem(old, old)).credential
        assert isinstance(second, ManagedTokens)
        with pytest.raises(RefreshError, match="not refreshed: No space left"):
            await home.redeem(second, old)
    assert home.redemptions == 1  # rt-two is in the write-ahead record; rt-three would be nobody's
    third = await home.redeem(second, old)
    assert isinstance(third.credential, ManagedTokens)
    assert third.credential.refresh_token == Secret("rt-three")
    assert third.stored == third.credential == await home.stored()


async def test_a_redemption_that_has_begun_is_finished_also_when_it_is_cancelled(
    home: Home, old: ManagedTokens
) -> None:
    gate = home.refresher.hold()
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(home.redeem, old, old)
            await home.refresher.asked.wait()
            group.cancel_scope.cancel()
            gate.set()
    stored = await home.stored()
    assert isinstance(stored, ManagedTokens)
    assert stored.refresh_token == Secret("rt-two")


async def test_a_redemption_that_waits_for_its_turn_can_be_cancelled(home: Home, old: ManagedTokens) -> None:
    with anyio.fail_after(WAIT_SECONDS):
        async with OffLoopStore(FileStore(str(home.path))).redeeming(), anyio.create_task_group() as group:
            group.start_soon(home.redeem, old, old)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert home.redemptions == 0


async def test_an_answer_with_an_id_token_that_makes_no_sense_is_worth_the_rest(home: Home, old: ManagedTokens) -> None:
    given = new_tokens()._replace(id_token=Secret("no-jwt"))
    home.refresher.answers = [given]
    new = (await home.redeem(old, old)).credential
    assert isinstance(new, ManagedTokens)
    assert (new.id_token, new.access_token, new.refresh_token) == (
        old.id_token,
        given.access_token,
        given.refresh_token,
    )


# What a process that has died has left


async def test_what_was_left_over_can_be_stored_without_a_refresh(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die_before_storing(home, old, monkeypatch)
    other = Home(home.path)
    assert other.store.has_record()
    found = await other.redeemer.unfinished()
    assert found is not None
    await other.redeemer.finish()
    assert await other.stored() == found
    assert found.refresh_token == Secret("rt-two")
    assert other.redemptions == 0
    assert not other.store.has_record()
    assert await other.redeemer.unfinished() is None


@pytest.mark.parametrize("after", [managed("rt-login"), None])
async def test_what_was_left_over_of_another_login_is_removed(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch, after: ManagedTokens | None
) -> None:
    await die_before_storing(home, old, monkeypatch)
    left = (home.path / ".auth.json.redeemed").read_bytes()
    (home.path / "auth.json").unlink()  # as another program signs out
    if after is not None:
        await home.store.save(after)
        (home.path / ".auth.json.redeemed").write_bytes(left)
    assert await home.redeemer.unfinished() is None
    await home.redeemer.finish()
    assert await home.stored() == after
    assert not home.store.has_record()


async def test_what_was_left_over_stays_while_it_cannot_be_stored(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die_before_storing(home, old, monkeypatch)
    with monkeypatch.context() as patch:
        for failing in ("swap", "load"):
            patch.setattr(home.store, failing, refuse)
            await home.redeemer.finish()
    assert await home.redeemer.unfinished() is not None


async def test_a_process_that_may_not_use_the_login_finishes_it_for_the_others(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die_before_storing(home, old, monkeypatch)
    restricted = Home(home.path, forced_workspaces=("org-9",))
    await restricted.redeemer.finish()
    stored = await home.stored()
    assert isinstance(stored, ManagedTokens)
    assert stored.refresh_token == Secret("rt-two")
    assert old.refresh_token is not None
    assert await home.refusal() is None


@pytest.mark.parametrize(
    "members",
    [
        {"access_token": 5},
        {"refresh_token": ["x"]},
        {"account_id": {}},
        {"access_token": None, "id_token": None, "refresh_token": None},
    ],
)
async def test_a_record_of_another_shape_is_none(
    home: Home, old: ManagedTokens, monkeypatch: pytest.MonkeyPatch, members: dict[str, Any]
) -> None:
    await die_before_storing(home, old, monkeypatch)
    path = home.path / ".auth.json.redeemed"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **members}))
    assert await home.redeemer.unfinished() is None
    await home.redeemer.finish()
    assert await home.stored() == old
    assert not home.store.has_record()
