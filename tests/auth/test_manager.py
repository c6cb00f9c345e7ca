"""Who is signed in: generations, signing in and out, and what other processes store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from appserver.auth.credentials import ApiKey, ExternalTokens, ManagedTokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.errors import AuthError, RefreshError, StoreError
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.manager_rig import Rig, external, managed, new_tokens, running_manager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import CredentialStore
    from tests.auth.store_kit import Reopen

pytestmark = pytest.mark.anyio

in_a_file = pytest.mark.parametrize("place", ["file"], indirect=True)


@pytest.fixture
async def rig(tmp_path: Path, place: Reopen) -> AsyncIterator[Rig]:
    async with running_manager(Settings(home=str(tmp_path)), place()) as running:
        yield running


@pytest.fixture
def elsewhere(place: Reopen) -> CredentialStore:
    """The same place as another process sees it."""
    return place()


async def test_nobody_is_signed_in_at_first(rig: Rig) -> None:
    assert await rig.manager.look() is None
    assert rig.manager.needs_login is None
    assert await rig.manager.for_request() is None


async def test_a_stored_login_is_found_and_not_announced(rig: Rig, elsewhere: CredentialStore) -> None:
    await elsewhere.save(managed(account="org-7"))
    assert (await rig.held()).credential == (await elsewhere.load()).credential
    assert rig.told == []


async def test_every_credential_gets_a_higher_generation(rig: Rig) -> None:
    generations = [(await rig.sign_in_managed()).generation, (await rig.sign_in_external()).generation]
    await rig.manager.sign_out()
    generations.append((await rig.sign_in_managed()).generation)
    generations.append((await rig.manager.refresh(generations[-1])).generation)
    assert generations == sorted(set(generations))


async def test_looking_again_changes_no_generation(rig: Rig) -> None:
    assert await rig.sign_in_managed() is await rig.held()
    assert await rig.held() is await rig.held()


async def test_managed_logins_and_api_keys_are_stored(rig: Rig, elsewhere: CredentialStore) -> None:
    await rig.sign_in_managed()
    assert isinstance((await elsewhere.load()).credential, ManagedTokens)
    await rig.manager.sign_in(ApiKey(Secret("sk-test")))
    assert (await elsewhere.load()).credential == ApiKey(Secret("sk-test"))


@in_a_file
async def test_external_tokens_never_touch_the_disk(rig: Rig, tmp_path: Path) -> None:
    held = await rig.sign_in_external()
    await rig.manager.refresh(held.generation)
    await rig.manager.sign_out()
    assert list(tmp_path.iterdir()) == []


async def test_external_tokens_leave_a_stored_login_as_it_is(rig: Rig, elsewhere: CredentialStore) -> None:
    stored = (await rig.sign_in_managed()).credential
    held = await rig.sign_in_external()
    await rig.manager.refresh(held.generation)
    assert (await elsewhere.load()).credential == stored


@pytest.mark.parametrize("login", [managed(), ApiKey(Secret("sk-test"))], ids=["managed", "api key"])
async def test_no_other_login_replaces_external_tokens(rig: Rig, login: Credential) -> None:
    held = await rig.sign_in_external()
    with pytest.raises(AuthError, match="External auth is active"):
        await rig.manager.sign_in(login)
    assert await rig.held() is held
    assert await rig.stored() is None


async def test_signing_out_of_external_tokens_forgets_the_login_behind_them(
    rig: Rig, elsewhere: CredentialStore
) -> None:
    await rig.sign_in_managed()
    external = (await rig.sign_in_external()).credential
    stored = managed(account="org-9")
    await elsewhere.save(stored)  # not looked at while the client's tokens are in use
    assert await rig.manager.sign_out() == [external, stored]
    assert await rig.manager.look() is None
    assert (await elsewhere.load()).credential is None
    assert rig.told == []


async def test_a_login_that_cannot_be_deleted_keeps_no_external_tokens_here(
    rig: Rig, elsewhere: CredentialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(**_: object) -> None:
        raise StoreError("Read-only file system")

    await rig.sign_in_managed()
    external = (await rig.sign_in_external()).credential
    await elsewhere.save(managed("rt-sibling"))  # not looked at while the client's tokens are in use
    monkeypatch.setattr(rig.store, "delete", refuse)
    assert await rig.manager.sign_out() == [external]
    assert await rig.manager.look() is None


@in_a_file
async def test_a_stored_login_that_makes_no_sense_goes_with_the_external_tokens(rig: Rig, tmp_path: Path) -> None:
    external = (await rig.sign_in_external()).credential
    (tmp_path / "auth.json").write_text("{ not json")
    assert await rig.manager.sign_out() == [external]
    assert not (tmp_path / "auth.json").exists()


async def test_a_login_that_cannot_be_stored_changes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await rig.sign_in_managed()

    async def refuse(_: object) -> None:
        raise StoreError("no space")

    monkeypatch.setattr(rig.store, "save", refuse)
    with pytest.raises(StoreError, match="no space"):
        await rig.manager.sign_in(managed(account="org-2"))
    assert await rig.held() is before


async def test_signing_out_forgets_the_login_here_and_on_disk(rig: Rig, elsewhere: CredentialStore) -> None:
    held = await rig.sign_in_managed()
    assert await rig.manager.sign_out() == [held.credential]
    assert await rig.manager.look() is None
    assert (await elsewhere.load()).credential is None


async def test_our_own_logins_and_logouts_are_not_announced_by_the_manager(rig: Rig) -> None:
    await rig.sign_in_managed()
    await rig.manager.sign_in(ApiKey(Secret("sk-test")))
    await rig.manager.sign_out()
    await rig.manager.look()
    assert rig.told == []


async def test_a_login_elsewhere_is_used_at_the_next_look_and_announced(rig: Rig, elsewhere: CredentialStore) -> None:
    assert await rig.manager.look() is None
    await elsewhere.save(managed(account="org-2"))
    assert isinstance((await rig.held()).credential, ManagedTokens)
    assert rig.told == ["chatgpt"]


async def test_a_logout_elsewhere_is_seen_and_announced(rig: Rig, elsewhere: CredentialStore) -> None:
    await rig.sign_in_managed()
    await elsewhere.delete()
    assert await rig.manager.look() is None
    assert rig.told == [None]


async def test_an_account_switch_elsewhere_is_seen_and_announced(rig: Rig, elsewhere: CredentialStore) -> None:
    before = await rig.sign_in_managed(account="org-1")
    await elsewhere.save(managed("rt-other", account="org-2"))
    assert (await rig.held()).generation > before.generation
    assert rig.told == ["chatgpt"]


async def test_two_users_of_one_workspace_and_email_are_two_accounts(rig: Rig, elsewhere: CredentialStore) -> None:
    await rig.sign_in_managed(user="user-1")
    await elsewhere.save(managed("rt-other", user="user-2"))
    await rig.manager.look()
    assert rig.told == ["chatgpt"]


async def test_a_siblings_rotation_is_adopted_without_a_word(rig: Rig, elsewhere: CredentialStore) -> None:
    before = await rig.sign_in_managed("rt-one")
    await elsewhere.save(managed("rt-two"))
    assert (await rig.held()).generation > before.generation
    assert rig.told == []


@in_a_file
async def test_a_file_written_again_with_the_same_login_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    before = await rig.sign_in_managed()
    path = tmp_path / "auth.json"
    path.write_bytes(path.read_bytes())
    assert await rig.held() is before


async def test_changes_elsewhere_do_not_touch_external_tokens(rig: Rig, elsewhere: CredentialStore) -> None:
    held = await rig.sign_in_external()
    await elsewhere.save(managed())
    assert await rig.held() is held
    assert rig.told == []


async def test_a_change_between_our_write_and_our_look_at_the_file_is_not_missed(
    rig: Rig, elsewhere: CredentialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = rig.store.save

    async def save_and_be_overtaken(credential: Credential) -> None:
        await save(credential)
        await elsewhere.save(managed("rt-other", account="org-2"))

    monkeypatch.setattr(rig.store, "save", save_and_be_overtaken)
    await rig.manager.sign_in(managed(account="org-1"))
    assert (await rig.held()).credential == (await elsewhere.load()).credential


@in_a_file
async def test_a_corrupt_file_is_a_reason_to_sign_in_again(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text("{ not json")
    assert await rig.manager.look() is None
    assert "it is not JSON" in (rig.manager.needs_login or "")
    await rig.sign_in_managed()
    assert rig.manager.needs_login is None
    assert (tmp_path / "auth.json.corrupt").read_text() == "{ not json"


@in_a_file
async def test_a_file_that_breaks_while_a_login_is_held_is_looked_at_again(
    rig: Rig, tmp_path: Path, elsewhere: CredentialStore
) -> None:
    before = await rig.sign_in_managed()
    (tmp_path / "auth.json").write_text('{"auth_mode": "chatgpt", "tok')
    assert await rig.held() is before
    await elsewhere.save(managed("rt-new", account="org-2"))
    assert (await rig.held()).credential == (await elsewhere.load()).credential


@in_a_file
async def test_a_repaired_file_is_used_without_a_restart(rig: Rig, tmp_path: Path, elsewhere: CredentialStore) -> None:
    (tmp_path / "auth.json").write_text("[]")
    assert await rig.manager.look() is None
    await elsewhere.save(managed())
    assert (await rig.held()).credential == (await elsewhere.load()).credential
    assert rig.manager.problem is None


async def test_a_stored_login_of_a_workspace_that_is_not_allowed_is_not_used(tmp_path: Path) -> None:
    store = OffLoopStore(FileStore(str(tmp_path)))
    await store.save(managed(account="org-2"))
    async with running_manager(Settings(home=str(tmp_path), forced_workspaces=("org-1",)), store) as rig:
        assert await rig.manager.look() is None
        assert rig.manager.needs_login == (
            "Login is restricted to workspace(s) org-1, but current credentials belong to org-2"
        )


async def test_an_api_key_is_not_refreshed(rig: Rig) -> None:
    await rig.manager.sign_in(ApiKey(Secret("sk-test")))
    with pytest.raises(RefreshError) as caught:
        await rig.manager.refresh((await rig.held()).generation)
    assert caught.value.permanent
    assert rig.refreshes == 0


@in_a_file
async def test_unknown_members_of_the_file_survive_a_refresh(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    await rig.sign_in_managed()
    path.write_text(json.dumps({**json.loads(path.read_text()), "another_program": {"kept": True}}))
    rig.refresher.answers = [new_tokens("rt-two")]
    await rig.manager.refresh((await rig.held()).generation)
    stored = json.loads(path.read_text())
    assert stored["another_program"] == {"kept": True}
    assert stored["tokens"]["refresh_token"] == "rt-two"


async def test_external_says_whose_tokens_are_in_use(rig: Rig) -> None:
    assert not rig.manager.external
    await rig.manager.sign_in(external())
    assert rig.manager.external
    assert isinstance((await rig.held()).credential, ExternalTokens)
    await rig.manager.sign_out()
    assert not rig.manager.external
