"""The credential store in a database passes what every store passes, on both databases; and what is its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError as PoolTimeout

from appserver.auth.stores.base import Contents
from appserver.errors import StoreBusy, StoreChangedError, StoreError
from appserver.gateway.database import credentials as store_module
from appserver.gateway.database import lease
from appserver.gateway.database.accounts import Accounts
from appserver.gateway.database.cipher import Cipher
from appserver.gateway.database.credentials import Place, SqlCredentials
from appserver.gateway.database.schema import credentials
from appserver.gateway.database.versions import Versions
from appserver.tasks import Tasks
from protocol.base import Secret
from tests.auth.store_kit import SharedStoreKit, api_key, login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appserver.gateway.database.engine import Database

KEYS = [Secret("the-first-secret-key"), Secret("the-second-secret-key")]


@pytest.fixture
async def place(database: Database) -> AsyncIterator[Place]:
    tasks = Tasks()
    async with anyio.create_task_group() as group:
        tasks.open(group)
        yield Place(database, Cipher(KEYS), Versions(), tasks)
        group.cancel_scope.cancel()


@pytest.fixture
async def user_id(database: Database) -> str:
    return await Accounts(database).add_user("ada", None)


@pytest.fixture
def store(place: Place, user_id: str) -> SqlCredentials:
    return SqlCredentials(place, user_id)


@pytest.fixture
def reopen(place: Place, user_id: str) -> Callable[[], SqlCredentials]:
    return lambda: SqlCredentials(place, user_id)


class TestSqlCredentials(SharedStoreKit):
    """The kit."""


pytestmark = pytest.mark.anyio


async def stored(place: Place) -> sa.RowMapping:
    async with place.database.reading() as connection:
        return (await connection.execute(sa.select(credentials))).mappings().one()


async def test_nothing_secret_can_be_read_in_the_database(place: Place, store: SqlCredentials) -> None:
    await store.save(login("rt-very-secret"))
    async with store.redeeming() as redemption:
        await redemption.write({"refresh_token": "rt-the-next"})
        row = str(dict(await stored(place)))
    assert "rt-very-secret" not in row
    assert "rt-the-next" not in row


async def test_whose_it_is_can_be_read_without_a_key(place: Place, store: SqlCredentials) -> None:
    await store.save(login(account="org-7"))
    row = await stored(place)
    assert (row["kind"], row["chatgpt_user_id"], row["account_id"], row["status"]) == (
        "chatgpt",
        "user-1",
        "org-7",
        "active",
    )
    await store.refuse(Secret("rt-one"), "reused")
    assert (await stored(place))["status"] == "needs_login"


async def test_a_value_is_of_no_use_in_another_users_row(place: Place, store: SqlCredentials) -> None:
    other = await Accounts(place.database).add_user("ben", None)
    await store.save(login())
    await SqlCredentials(place, other).save(login("rt-of-ben"))
    async with place.database.writing() as connection:
        stolen = sa.select(credentials.c.document).where(credentials.c.user_id != other).scalar_subquery()
        await connection.execute(sa.update(credentials).where(credentials.c.user_id == other).values(document=stolen))
    with pytest.raises(StoreError, match="another row"):
        await SqlCredentials(place, other).load()


async def test_keys_can_be_rotated(place: Place, store: SqlCredentials, user_id: str) -> None:
    old, new = Cipher(KEYS[:1]), Cipher([KEYS[1], KEYS[0]])
    await SqlCredentials(place._replace(cipher=old), user_id).save(login())
    rotating = SqlCredentials(place._replace(cipher=new), user_id)
    assert (await rotating.load()).credential is not None
    assert await rotating.reencrypt()
    assert not await rotating.reencrypt()
    only_new = SqlCredentials(place._replace(cipher=Cipher(KEYS[1:])), user_id)
    assert (await only_new.load()).credential is not None
    with pytest.raises(StoreError, match="GATEWAY_SECRET_KEYS"):
        await SqlCredentials(place._replace(cipher=old), user_id).load()


async def test_users_without_a_credential_have_the_fallback(place: Place, user_id: str) -> None:
    store = SqlCredentials(place._replace(fallback=api_key("sk-of-all")), user_id)
    assert (await store.load()).credential == api_key("sk-of-all")
    await store.save(own := login())
    assert (await store.load()).credential == own
    assert await store.delete() == own
    assert (await store.load()).credential == api_key("sk-of-all")


async def test_a_lease_of_a_node_that_has_died_ends(
    place: Place, store: SqlCredentials, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    await store.save(login())
    dead = SqlCredentials(place._replace(tasks=Tasks()), user_id)  # nothing runs that would renew its lease
    async with dead.redeeming() as redemption:
        await redemption.write({"refresh_token": "rt-two"})
        async with store.redeeming():
            assert await store.record() == {"refresh_token": "rt-two"}


async def test_a_lease_is_renewed_as_long_as_it_is_held(
    place: Place, store: SqlCredentials, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    async with store.redeeming():
        with anyio.move_on_after(1.5):
            async with SqlCredentials(place, user_id).redeeming():
                pytest.fail("two nodes redeem at once")


async def test_a_node_that_has_lost_its_lease_leaves_the_record_to_the_next_holder(
    place: Place, store: SqlCredentials, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    await store.save(login())
    suspended = SqlCredentials(place._replace(tasks=Tasks()), user_id)  # nothing runs that would renew its lease
    async with suspended.redeeming() as late, store.redeeming() as redemption:
        await redemption.write({"refresh_token": "rt-two"})
        with pytest.raises(StoreBusy, match="lost"):
            await late.prepare()  # so it redeems nothing
        await late.write({"refresh_token": "rt-late"})
        await late.discard()
        assert await store.record() == {"refresh_token": "rt-two"}


async def test_what_a_node_without_its_lease_was_answered_is_stored_in_place_of_what_it_redeemed_alone(
    place: Place, store: SqlCredentials, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    await store.save(old := login("rt-one"))
    suspended = SqlCredentials(place._replace(tasks=Tasks()), user_id)
    async with suspended.redeeming(), store.redeeming():
        await store.refuse(Secret("rt-one"), "reused")  # as the issuer has it, who has answered the other one
        await suspended.swap(old, new := login("rt-two"))
        assert await store.load() == Contents(new)
        with pytest.raises(StoreChangedError):
            await suspended.swap(old, login("rt-late"))


async def test_the_issuers_answer_is_written_again_while_the_database_is_busy(
    place: Place, store: SqlCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WRITE_RETRY_SECONDS", 0.0)
    writing, tries = place.database.writing, iter([PoolTimeout, OSError])

    def busy() -> AbstractAsyncContextManager[AsyncConnection]:
        if (failure := next(tries, None)) is not None:
            raise failure
        return writing()

    async with store.redeeming() as redemption:
        monkeypatch.setattr(place.database, "writing", busy)
        await redemption.write({"refresh_token": "rt-two"})
    assert await store.record() == {"refresh_token": "rt-two"}


async def test_many_changes_at_once_are_made_one_after_the_other(place: Place, user_id: str) -> None:
    stores = [SqlCredentials(place, user_id) for _ in range(10)]
    async with anyio.create_task_group() as group:
        for number, one in enumerate(stores):
            group.start_soon(one.save, login(f"rt-{number}"))
    assert (await stored(place))["version"] == 10
