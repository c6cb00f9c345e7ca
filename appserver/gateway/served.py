"""What is being served on this node, and for whom: it ends with the server, and with the key or the user behind it.

A new request asks the database for its key. One that runs does not, so once a second all that run are looked up
together: what an administrator or a client has revoked on any node ends within that second. Users of whom nothing is
left are forgotten with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import sqlalchemy as sa

from appserver.gateway.database.connections import FAILURES
from appserver.gateway.database.schema import api_keys, grants, users
from appserver.log import warn
from appserver.transport.base import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from anyio.abc import TaskGroup

    from appserver.gateway.database.engine import Database
    from appserver.gateway.users import Caller, Users

LOOK_SECONDS = 1.0
"""Between two looks at what was revoked."""

LOOKS_AT_ALL = 60
"""Each of so many looks is for all users that this node has met, also if nothing runs for them."""

AT_ONCE = 500
"""Ids in one statement: SQLite allows some more."""


class Served:
    """One of a node."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users
        self._running: dict[object, tuple[Caller, Callable[[Ending], None]]] = {}
        self._none_left = anyio.Event()

    @contextmanager
    def request(self, caller: Caller, end: Callable[[Ending], None]) -> Iterator[None]:
        """Know a request, or a WebSocket, while it is served. `end` ends it soon, and tells the client why."""
        entry = object()
        self._running[entry] = caller, end
        try:
            yield
        finally:
            del self._running[entry]
            if not self._running:
                self._none_left.set()

    async def end(self) -> None:
        """End all that is served: the server ends."""
        for _, end in tuple(self._running.values()):
            end(Ending.STOPPED)
        while self._running:
            self._none_left = anyio.Event()
            await self._none_left.wait()

    async def run(self) -> None:
        """End what was revoked, again and again."""
        looks = 0
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(LOOK_SECONDS)
                looks += 1
                try:
                    await self._look(group, at_all=looks % LOOKS_AT_ALL == 0)
                except FAILURES as exc:
                    warn(f"the database could not be asked what was revoked ({type(exc).__name__})")

    async def _look(self, group: TaskGroup, *, at_all: bool) -> None:
        running = tuple(self._running.values())
        callers = [caller for caller, _ in running]
        met = self._users.met if at_all else self._users.with_turns
        met = {*met, *(caller.user_id for caller in callers)}
        good = {
            *await self._ids(sa.select(users.c.id), users.c.id, met),
            *await self._ids(_GOOD_KEYS, api_keys.c.id, {one.key_id for one in callers if one.key_id}),
            *await self._ids(_GOOD_GRANTS, grants.c.id, {one.grant_id for one in callers if one.grant_id}),
        }
        for caller, end in running:
            if not good.issuperset(caller.stands_for):
                end(Ending.REVOKED)
        for user_id in met - good:
            group.start_soon(self._users.forget, user_id)

    async def _ids(self, query: sa.Select[str], column: sa.Column[str], asked: Collection[str]) -> list[str]:
        """Return those of the ids that a query finds."""
        found: list[str] = []
        ids = sorted(asked)
        if ids:
            async with self._database.reading() as connection:
                for start in range(0, len(ids), AT_ONCE):
                    found += (await connection.execute(query.where(column.in_(ids[start : start + AT_ONCE])))).scalars()
        return found


_GOOD_KEYS = sa.select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None))
_GOOD_GRANTS = sa.select(grants.c.id).where(grants.c.revoked_at.is_(None))
