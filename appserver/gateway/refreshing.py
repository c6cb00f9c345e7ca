"""The scheduled refresh: logins are refreshed ahead of their end, by whichever node holds a lease for it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import anyio
import sqlalchemy as sa

from appserver.errors import AuthError
from appserver.gateway.database.connections import FAILURES
from appserver.gateway.database.schema import credentials, leases
from appserver.log import log_exception, warn

if TYPE_CHECKING:
    from appserver.gateway.database.engine import Database
    from appserver.gateway.users import Users

LEASE = "refresh"

LEASE_SECONDS = 60.0
"""After which another node takes over from one that has died."""

LOOK_SECONDS = 20.0
"""Between two looks at what is due."""

AT_ONCE = 8
"""Logins that are refreshed side by side: the issuer need not notice how many users there are."""

AGAIN_SECONDS = 300.0
"""After which a refresh that has failed is tried again."""


class Refreshing:
    """Runs on every node, and works on one."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users
        self._holder = uuid.uuid4().hex

    async def run(self) -> None:
        """Refresh what is due, again and again."""
        while True:
            try:
                if await self.lead():
                    await self.refresh_due()
            except FAILURES as exc:
                warn(f"the scheduled refresh could not look at the database ({type(exc).__name__})")
            await anyio.sleep(LOOK_SECONDS)

    async def lead(self) -> bool:
        """Take the lease, or renew it. Return whether it is this node's."""
        values = {"holder": self._holder, "until": self._database.now + LEASE_SECONDS}
        row = self._database.insert(leases).values(name=LEASE, **values)
        mine = sa.or_(leases.c.holder == self._holder, leases.c.until <= self._database.now)
        taken = row.on_conflict_do_update(index_elements=["name"], set_=values, where=mine)
        async with self._database.writing() as connection:
            return (await connection.execute(taken.returning(leases.c.name))).scalar_one_or_none() is not None

    async def refresh_due(self) -> int:
        """Refresh the logins that are due, and return how many there were."""
        due = sa.select(credentials.c.user_id, credentials.c.version).where(
            credentials.c.refresh_at <= self._database.now, credentials.c.status == "active"
        )
        async with self._database.reading() as connection:
            found = [(row.user_id, row.version) for row in await connection.execute(due)]
        limit = anyio.CapacityLimiter(AT_ONCE)

        async def one(user_id: str, version: int) -> None:
            async with limit:
                await self._refresh(user_id, version)

        async with anyio.create_task_group() as group:
            for row in found:
                group.start_soon(one, *row)
        return len(found)

    async def _refresh(self, user_id: str, version: int) -> None:
        auth = self._users.workspace(user_id, version).account.auth
        try:
            held = await auth.look()
            if held is not None and held.credential.is_renewable:
                await auth.refresh(held.generation)
        except AuthError as exc:
            warn(f"the login of user {user_id} was not refreshed ahead of time: {exc.message}")
            await self._later(user_id)
        except Exception as exc:  # noqa: BLE001 - the others must be refreshed
            log_exception("the scheduled refresh failed for one user", exc)
            await self._later(user_id)

    async def _later(self, user_id: str) -> None:
        """Try again after a while, unless the login has ended or was refreshed meanwhile. Never raises."""
        again = sa.update(credentials).where(
            credentials.c.user_id == user_id, credentials.c.refresh_at <= self._database.now
        )
        try:
            async with self._database.writing() as connection:
                await connection.execute(again.values(refresh_at=self._database.now + AGAIN_SECONDS))
        except FAILURES as exc:
            warn(f"the next refresh of a login could not be put off: it comes at once ({type(exc).__name__})")
