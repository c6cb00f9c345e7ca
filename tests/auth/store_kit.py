"""What every credential store must do. A test class derives from a kit and opens its store in two fixtures.

`store` is the store under test; `reopen` opens the same place once more, as another process would.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import pytest

from appserver.auth.credentials import ApiKey, Credential, ManagedTokens, managed_tokens
from appserver.auth.stores import base
from appserver.auth.stores.base import Contents
from appserver.errors import StoreBusy, StoreChangedError
from appserver.testing import make_jwt
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from appserver.auth.stores.base import CredentialStore
    from appserver.auth.stores.off_loop import BlockingRedemption, BlockingStore

    Reopen: TypeAlias = Callable[[], CredentialStore]

RECORD = {"refresh_token": "rt-two"}


def login(refresh_token: str | None = "rt-one", *, api_key: str | None = None, account: str = "org-1") -> ManagedTokens:
    """Make a managed login with tokens that nobody else has."""
    return managed_tokens(
        Secret(make_jwt(account=account)),
        Secret(make_jwt(account=account)),
        Secret(refresh_token) if refresh_token else None,
        last_refresh="2026-01-01T00:00:00Z",
        api_key=Secret(api_key) if api_key else None,
    )


def api_key(text: str = "sk-test") -> ApiKey:
    return ApiKey(Secret(text))


async def redeem(store: CredentialStore) -> None:
    """Leave what a process leaves that dies when it has redeemed a refresh token."""
    async with store.redeeming() as redemption:
        await redemption.prepare()
        await redemption.write(RECORD)


@contextmanager
def redeeming(store: BlockingStore) -> Iterator[BlockingRedemption]:
    """Be ready to redeem a refresh token."""
    redemption = store.redemption()
    redemption.begin()
    try:
        redemption.prepare()
        yield redemption
    finally:
        redemption.end()


def prepare_redemption(store: BlockingStore) -> None:
    """Find out whether new tokens could be stored."""
    with redeeming(store):
        pass


@pytest.mark.anyio
class StoreKit:
    """For any store."""

    async def test_it_is_empty_at_first(self, store: CredentialStore) -> None:
        assert (await store.load()).credential is None

    @pytest.mark.parametrize(
        "credential",
        [api_key(), login(), login(None), login(api_key="sk-exchanged"), login("rt-" + "x" * 100_000)],
        ids=["api key", "managed", "without refresh token", "with api key", "larger than any keyring takes"],
    )
    async def test_what_is_saved_is_loaded(
        self, store: CredentialStore, reopen: Reopen, credential: Credential
    ) -> None:
        await store.save(credential)
        assert (await store.load()).credential == credential
        assert (await reopen().load()).credential == credential

    async def test_a_login_takes_the_place_of_whatever_is_there(self, store: CredentialStore) -> None:
        for credential in (login("rt-one"), api_key(), login("rt-two", account="org-2")):
            await store.save(credential)
            assert (await store.load()).credential == credential

    async def test_swap_stores_the_new_in_place_of_the_old(self, store: CredentialStore, reopen: Reopen) -> None:
        old, new = login("rt-one"), login("rt-two")
        await store.save(old)
        await store.swap(old, new)
        assert (await reopen().load()).credential == new

    async def test_swap_leaves_what_somebody_else_has_stored(self, store: CredentialStore, reopen: Reopen) -> None:
        old, other = login("rt-one"), login("rt-other")
        await store.save(old)
        await reopen().save(other)
        with pytest.raises(StoreChangedError):
            await store.swap(old, login("rt-two"))
        assert (await store.load()).credential == other

    async def test_swap_can_stand_for_the_first_login_and_overwrites_none(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        first, second = login("rt-one"), login("rt-two")
        await store.swap(None, first)
        assert (await reopen().load()).credential == first
        with pytest.raises(StoreChangedError):
            await store.swap(None, second)
        assert (await store.load()).credential == first

    async def test_swap_does_not_undo_a_logout(self, store: CredentialStore, reopen: Reopen) -> None:
        old = login("rt-one")
        await store.save(old)
        await reopen().delete()
        with pytest.raises(StoreChangedError):
            await store.swap(old, login("rt-two"))
        assert (await store.load()).credential is None

    async def test_what_is_deleted_is_gone(self, store: CredentialStore, reopen: Reopen) -> None:
        await store.save(login())
        await store.delete()
        assert (await store.load()).credential is None
        assert (await reopen().load()).credential is None

    async def test_what_is_deleted_is_returned(self, store: CredentialStore, reopen: Reopen) -> None:
        there = login()
        await store.save(login("rt-old"))
        await reopen().save(there)
        assert await store.delete() == there
        assert await store.delete() is None

    async def test_a_redemption_is_told_that_its_login_has_ended_everywhere(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        first, second, third = (login(token) for token in ("rt-one", "rt-two", "rt-three"))
        async with store.redeeming() as redemption:
            for credential, everywhere in ((first, True), (second, False), (third, True)):
                await reopen().save(credential)
                await reopen().delete(everywhere=everywhere)
            tokens = [Secret(token) for token in ("rt-one", "rt-two", "rt-three")]
            assert [await redemption.has_ended(token) for token in tokens] == [True, False, True]
        async with store.redeeming() as redemption:
            assert not await redemption.has_ended(Secret("rt-one"))

    async def test_a_logout_while_nobody_redeems_leaves_no_note(self, store: CredentialStore) -> None:
        async with store.redeeming():
            pass
        await store.save(login())
        await store.delete(everywhere=True)
        async with store.redeeming() as redemption:
            assert not await redemption.has_ended(Secret("rt-one"))

    async def test_nothing_can_be_deleted_too(self, store: CredentialStore) -> None:
        await store.delete()
        await store.save(api_key())
        await store.delete()
        await store.delete()
        assert (await store.load()).credential is None

    async def test_one_can_sign_in_again_after_a_logout_elsewhere(self, store: CredentialStore, reopen: Reopen) -> None:
        again = login("rt-two")
        await store.save(login())
        await reopen().delete()
        await store.save(again)
        assert (await reopen().load()).credential == again

    async def test_every_change_changes_the_version(self, store: CredentialStore, reopen: Reopen) -> None:
        first, second, third = login("rt-one"), login("rt-two"), login("rt-three")
        versions = [store.version()]
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: store.save(first),
            lambda: store.swap(first, second),
            lambda: reopen().swap(second, third),
            lambda: reopen().refuse(Secret("rt-three"), "expired"),
            lambda: reopen().delete(),
        ]
        for change in changes:
            await change()
            versions.append(store.version())
            assert versions[-1] != versions[-2]

    async def test_looking_does_not_change_the_version(self, store: CredentialStore) -> None:
        await store.save(login())
        before = store.version()
        await store.load()
        assert store.version() == before
        assert hash(before) == hash(store.version())

    async def test_a_redemption_that_brings_nothing_leaves_nothing(self, store: CredentialStore) -> None:
        async with store.redeeming() as redemption:
            await redemption.prepare()
        assert await store.load() == Contents(None, None)
        assert not store.has_record()
        assert await store.record() is None

    async def test_a_refused_refresh_token_is_remembered_for_exactly_that_login(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        old, new = login("rt-one"), login("rt-two")
        await store.save(old)
        await store.refuse(Secret("rt-other"), "expired")
        assert (await store.load()).refusal is None
        await store.refuse(Secret("rt-one"), "reused")
        assert await store.load() == await reopen().load() == Contents(old, "reused")
        await reopen().swap(old, new)
        assert await store.load() == Contents(new, None)

    async def test_signing_in_again_lets_the_issuer_be_asked_again(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        await store.save(login("rt-one"))
        await store.refuse(Secret("rt-one"), "reused")
        await store.save(again := login("rt-one"))
        assert await store.load() == await reopen().load() == Contents(again, None)

    async def test_one_can_sign_in_during_a_redemption(self, store: CredentialStore, reopen: Reopen) -> None:
        new = login("rt-new")
        await store.save(login())
        async with store.redeeming():
            await reopen().save(new)
            assert (await store.load()).credential == new

    async def test_it_says_where_things_are_and_no_secret(self, store: CredentialStore) -> None:
        await store.save(login("rt-very-secret"))
        assert store.kind in ("file", "keyring", "ephemeral")
        assert store.where
        assert "rt-very-secret" not in f"{store.where} {store!r} {vars(store)!r}"


@pytest.mark.anyio
class SharedStoreKit(StoreKit):
    """For stores that other processes use at the same time."""

    async def test_only_one_redeems_at_a_time(
        self, store: CredentialStore, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.save(login())
        async with store.redeeming():
            with monkeypatch.context() as patched:
                patched.setattr(base, "REDEEM_PATIENCE", 0.05)
                with pytest.raises(StoreBusy, match="held by another process"):
                    await reopen().redeeming().__aenter__()
        async with reopen().redeeming():
            pass

    async def test_what_was_redeemed_is_found_by_the_next_process(self, store: CredentialStore, reopen: Reopen) -> None:
        await store.save(login())
        await redeem(store)
        other = reopen()
        await other.load()
        assert other.has_record()
        assert await other.record() == RECORD

    @pytest.mark.parametrize("change", ["save", "swap", "delete"])
    async def test_every_change_removes_what_was_redeemed_before(
        self, store: CredentialStore, reopen: Reopen, change: str
    ) -> None:
        old = login()
        await store.save(old)
        await redeem(store)
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "save": lambda: store.save(login("rt-new")),
            "swap": lambda: store.swap(old, login("rt-new")),
            "delete": store.delete,
        }
        await changes[change]()
        assert not reopen().has_record()
        assert await reopen().record() is None

    async def test_preparing_a_redemption_removes_what_was_redeemed_before(self, store: CredentialStore) -> None:
        await store.save(login())
        await redeem(store)
        async with store.redeeming() as redemption:
            await redemption.prepare()
            assert not store.has_record()
        await redeem(store)
        async with store.redeeming() as redemption:
            await redemption.discard()
        assert await store.record() is None

    async def test_a_change_that_was_not_made_does_not(self, store: CredentialStore, reopen: Reopen) -> None:
        await store.save(login())
        await redeem(store)
        with pytest.raises(StoreChangedError):
            await store.swap(login("rt-other"), login("rt-new"))
        other = reopen()
        await other.load()
        assert other.has_record()
        assert await other.record() == RECORD
