"""What every credential store must do. A test class derives from a kit and opens its store in two fixtures.

`store` is the store under test; `reopen` opens the same place once more, as another process would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from appserver.auth.credentials import ApiKey, Credential, ManagedTokens, managed_tokens
from appserver.auth.stores import document as document_store
from appserver.errors import StoreChangedError, StoreError
from appserver.testing import make_jwt
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.stores.base import CredentialStore

    Reopen: TypeAlias = Callable[[], CredentialStore]


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


class StoreKit:
    """For any store."""

    def test_it_is_empty_at_first(self, store: CredentialStore) -> None:
        assert store.load() is None

    @pytest.mark.parametrize(
        "credential",
        [api_key(), login(), login(None), login(api_key="sk-exchanged"), login("rt-" + "x" * 100_000)],
        ids=["api key", "managed", "without refresh token", "with api key", "larger than any keyring takes"],
    )
    def test_what_is_saved_is_loaded(self, store: CredentialStore, reopen: Reopen, credential: Credential) -> None:
        store.save(credential)
        assert store.load() == credential
        assert reopen().load() == credential

    def test_a_login_takes_the_place_of_whatever_is_there(self, store: CredentialStore) -> None:
        for credential in (login("rt-one"), api_key(), login("rt-two", account="org-2")):
            store.save(credential)
            assert store.load() == credential

    def test_swap_stores_the_new_in_place_of_the_old(self, store: CredentialStore, reopen: Reopen) -> None:
        old, new = login("rt-one"), login("rt-two")
        store.save(old)
        store.swap(old, new)
        assert reopen().load() == new

    def test_swap_leaves_what_somebody_else_has_stored(self, store: CredentialStore, reopen: Reopen) -> None:
        old, other = login("rt-one"), login("rt-other")
        store.save(old)
        reopen().save(other)
        with pytest.raises(StoreChangedError):
            store.swap(old, login("rt-two"))
        assert store.load() == other

    def test_swap_can_stand_for_the_first_login_and_overwrites_none(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        first, second = login("rt-one"), login("rt-two")
        store.swap(None, first)
        assert reopen().load() == first
        with pytest.raises(StoreChangedError):
            store.swap(None, second)
        assert store.load() == first

    def test_swap_does_not_undo_a_logout(self, store: CredentialStore, reopen: Reopen) -> None:
        old = login("rt-one")
        store.save(old)
        reopen().delete()
        with pytest.raises(StoreChangedError):
            store.swap(old, login("rt-two"))
        assert store.load() is None

    def test_what_is_deleted_is_gone(self, store: CredentialStore, reopen: Reopen) -> None:
        store.save(login())
        store.delete()
        assert store.load() is None
        assert reopen().load() is None

    def test_what_is_deleted_is_returned(self, store: CredentialStore, reopen: Reopen) -> None:
        there = login()
        store.save(login("rt-old"))
        reopen().save(there)
        assert store.delete() == there
        assert store.delete() is None

    @pytest.mark.anyio
    async def test_a_redemption_is_told_that_its_login_has_ended_everywhere(
        self, store: CredentialStore, reopen: Reopen
    ) -> None:
        first, second, third = (login(token) for token in ("rt-one", "rt-two", "rt-three"))
        async with store.redeeming():
            for credential, everywhere in ((first, True), (second, False), (third, True)):
                reopen().save(credential)
                reopen().delete(everywhere=everywhere)
            assert [store.has_ended(Secret(token)) for token in ("rt-one", "rt-two", "rt-three")] == [True, False, True]
        async with store.redeeming():
            assert not store.has_ended(Secret("rt-one"))

    @pytest.mark.anyio
    async def test_a_logout_while_nobody_redeems_leaves_no_note(self, store: CredentialStore) -> None:
        async with store.redeeming():
            pass
        store.save(login())
        store.delete(everywhere=True)
        assert not store.has_ended(Secret("rt-one"))

    def test_nothing_can_be_deleted_too(self, store: CredentialStore) -> None:
        store.delete()
        store.save(api_key())
        store.delete()
        store.delete()
        assert store.load() is None

    def test_one_can_sign_in_again_after_a_logout_elsewhere(self, store: CredentialStore, reopen: Reopen) -> None:
        again = login("rt-two")
        store.save(login())
        reopen().delete()
        store.save(again)
        assert reopen().load() == again

    def test_every_change_changes_the_version(self, store: CredentialStore, reopen: Reopen) -> None:
        first, second, third = login("rt-one"), login("rt-two"), login("rt-three")
        versions = [store.version()]
        changes: list[Callable[[], object]] = [
            lambda: store.save(first),
            lambda: store.swap(first, second),
            lambda: reopen().swap(second, third),
            lambda: reopen().delete(),
        ]
        for change in changes:
            change()
            versions.append(store.version())
            assert versions[-1] != versions[-2]

    def test_looking_does_not_change_the_version(self, store: CredentialStore) -> None:
        store.save(login())
        before = store.version()
        store.load()
        store.prove_writable()
        assert store.version() == before
        assert hash(before) == hash(store.version())

    def test_a_proof_before_anything_is_stored_leaves_nothing(self, store: CredentialStore) -> None:
        store.prove_writable()
        assert store.load() is None

    @pytest.mark.anyio
    async def test_one_can_sign_in_during_a_redemption(self, store: CredentialStore, reopen: Reopen) -> None:
        new = login("rt-new")
        store.save(login())
        async with store.redeeming():
            reopen().save(new)
            assert store.load() == new

    def test_it_says_where_things_are_and_no_secret(self, store: CredentialStore) -> None:
        store.save(login("rt-very-secret"))
        assert store.kind in ("file", "keyring", "ephemeral")
        assert store.where
        assert "rt-very-secret" not in f"{store.where} {store!r} {vars(store)!r}"


class SharedStoreKit(StoreKit):
    """For stores that other processes use at the same time."""

    @pytest.mark.anyio
    async def test_only_one_redeems_at_a_time(
        self, store: CredentialStore, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(document_store, "REDEEM_PATIENCE", 0.05)
        store.save(login())
        async with store.redeeming():
            with pytest.raises(StoreError, match="held by another process"):
                await reopen().redeeming().__aenter__()
        async with reopen().redeeming():
            pass

    def test_what_was_redeemed_is_found_by_the_next_process(self, store: CredentialStore, reopen: Reopen) -> None:
        store.save(login())
        with store.journal.opened() as write:
            write({"refresh_token": "rt-two"})
        other = reopen()
        other.load()
        assert other.journal.read() == {"refresh_token": "rt-two"}

    @pytest.mark.parametrize("change", ["save", "swap", "delete"])
    def test_every_change_removes_what_was_redeemed_before(
        self, store: CredentialStore, reopen: Reopen, change: str
    ) -> None:
        old = login()
        store.save(old)
        with store.journal.opened() as write:
            write({"refresh_token": "rt-two"})
        changes: dict[str, Callable[[], object]] = {
            "save": lambda: store.save(login("rt-new")),
            "swap": lambda: store.swap(old, login("rt-new")),
            "delete": store.delete,
        }
        changes[change]()
        assert not reopen().journal.exists()

    def test_a_change_that_was_not_made_does_not(self, store: CredentialStore, reopen: Reopen) -> None:
        store.save(login())
        with store.journal.opened() as write:
            write({"refresh_token": "rt-two"})
        with pytest.raises(StoreChangedError):
            store.swap(login("rt-other"), login("rt-new"))
        other = reopen()
        other.load()
        assert other.journal.read() == {"refresh_token": "rt-two"}
