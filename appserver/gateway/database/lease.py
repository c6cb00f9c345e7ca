"""The lock of a redemption: a lease in the credential's row, held by one node at a time for as long as it renews it.

A node that dies costs its lease. One that was suspended may have lost it without knowing, so whatever the holder alone
may change is changed in the statement that looks whether it still is the holder.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa

from appserver.auth.stores import base
from appserver.errors import StoreBusy, StoreError
from appserver.gateway.database.schema import credentials
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appserver.gateway.database.engine import Database

    Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

LEASE_SECONDS = 6.0
"""After which a node that does not renew its lease is taken to be dead. Requests of its users wait for that."""

RENEW_SECONDS = 1.0
"""Several may fail before the lease is lost."""

FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.5
"""Between two tries to get the lease: a redemption takes tenths of a second."""


class LeaseLost(StoreBusy):
    """Another node holds the lease, or has held it meanwhile."""

    def __init__(self) -> None:
        super().__init__("the lease of a refresh was lost: this process was suspended for too long")


class Lease:
    """One holder's, in the row of one user, which is there. Raises StoreError and StoreBusy."""

    def __init__(self, database: Database, transaction: Transaction, user_id: str) -> None:
        """`transaction`: begins one, and raises those errors."""
        self._transaction = transaction
        self._now = database.now
        self._user_id = user_id
        self._holder = uuid.uuid4().hex

    async def take(self, stopping: anyio.Event) -> None:
        """Wait until no other node holds it, or until this one stops."""
        wait = FIRST_POLL_SECONDS
        with anyio.move_on_after(base.REDEEM_PATIENCE):
            while not await self._try_to_take():
                with anyio.move_on_after(wait):
                    await stopping.wait()
                    break
                wait = min(wait * 1.5, MAX_POLL_SECONDS)
            else:
                return
        raise StoreBusy("the stored credential is held by another process, which redeems its refresh token")

    async def keep(self, done: anyio.CancelScope) -> None:
        """Renew it until it is lost. Never raises."""
        with done:
            while True:
                await anyio.sleep(RENEW_SECONDS)
                try:
                    await self.change({})
                except LeaseLost as exc:
                    warn(exc.message)
                    return
                except (StoreError, StoreBusy):
                    warn("the lease of a refresh could not be renewed; this is tried again")

    async def change(self, values: dict[str, Any]) -> None:
        """Change columns of the row, and renew the lease. Raises LeaseLost, too, and then nothing has changed."""
        await self._change({"held_until": self._now + LEASE_SECONDS, **values})

    async def give_back(self) -> None:
        """Let another node take it, if it was not lost. Never raises."""
        try:
            await self._change({"holder": None, "held_until": 0.0, "ended": None})
        except LeaseLost:
            return
        except (StoreError, StoreBusy):
            warn("the lease of a refresh could not be given back; it ends by itself")

    async def _try_to_take(self) -> bool:
        free = sa.or_(credentials.c.holder.is_(None), credentials.c.held_until <= self._now)
        values = {"holder": self._holder, "held_until": self._now + LEASE_SECONDS, "ended": None}
        return await self._update(free, values)

    async def _change(self, values: dict[str, Any]) -> None:
        if not await self._update(credentials.c.holder == self._holder, values):
            raise LeaseLost

    async def _update(self, where: sa.ColumnElement[bool], values: dict[str, Any]) -> bool:
        change = sa.update(credentials).where(credentials.c.user_id == self._user_id, where).values(**values)
        async with self._transaction() as connection:
            return bool((await connection.execute(change)).rowcount)
