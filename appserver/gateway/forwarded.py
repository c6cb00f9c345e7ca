"""Requests that other nodes have forwarded to this one, as it runs the turn that they are about (`forwarding`).

It looks for such requests while it runs any turn, and once more after that. It responds to one as if the client had
come to it, and writes the response down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import anyio
import sqlalchemy as sa

from appserver import json_text
from appserver.gateway.database.connections import FAILURES
from appserver.gateway.database.threads.schema import Key, forwarded_requests
from appserver.gateway.forwarding import LOOK_SECONDS, LOOK_TIMEOUT_SECONDS, RESPONSE_SECONDS
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from appserver.gateway.database.engine import Database
    from appserver.gateway.database.node import Node

    Respond = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    """Returns the response of this node to a request of a user's, by the user's id."""

MAX_TAKEN = 100
"""Requests that are read in one look."""


class Forwarded:
    """One of a node."""

    def __init__(self, database: Database, node: Node) -> None:
        self._database = database
        self._node = node
        self._answering = WeakValueDictionary[Key, anyio.Lock]()
        """Held while a request about a thread is answered: they are answered in the order in which they came."""
        self._taken: set[str] = set()

    async def run(self, respond: Respond) -> None:
        """Respond to what other nodes ask."""
        look = False
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(LOOK_SECONDS)
                look = self._node.had_turns() or look
                if look:
                    try:
                        with anyio.fail_after(LOOK_TIMEOUT_SECONDS):
                            look = await self._take(group, respond)
                    except FAILURES as exc:
                        warn(f"requests of other nodes could not be looked for ({type(exc).__name__})")

    async def _take(self, group: TaskGroup, respond: Respond) -> bool:
        """Take requests for this node, and answer those of a thread in their order. Returns whether to look again."""
        table = forwarded_requests.c
        left = table.asked_at + RESPONSE_SECONDS - self._database.now
        query = (
            sa.select(table.id, table.user_id, table.thread_id, left.label("left"))
            .where(
                table.node_id == self._node.id,
                table.response.is_(None),
                left > 0,
                table.id.not_in(self._taken),
            )
            .order_by(table.number)
            .limit(MAX_TAKEN)
        )
        now = anyio.current_time()  # before the query: this process may be suspended while it waits for the rows
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        self._taken.update(row.id for row in rows)
        for row in rows:
            key = Key(row.user_id, row.thread_id)
            group.start_soon(self._answer, respond, key, row.id, now + row.left)
        return len(rows) == MAX_TAKEN

    async def _answer(self, respond: Respond, key: Key, request_id: str, deadline: float) -> None:
        """Respond to a request, if somebody still waits once those before it are answered."""
        async with self._answering.setdefault(key, anyio.Lock()):
            request = await self._read(request_id, deadline)
            if request is not None and anyio.current_time() < deadline:
                response = await respond(key.user_id, json_text.decode_stored(request))
                await self._write(request_id, json_text.encode(response))
        self._taken.discard(request_id)  # with a response it is not found again, and without one not after this time

    async def _read(self, request_id: str, deadline: float) -> str | None:
        """Return a request, which may be long. None: nobody waits any more. Never raises: it tries again."""
        query = sa.select(forwarded_requests.c.request).where(forwarded_requests.c.id == request_id)
        with anyio.CancelScope(deadline=deadline):
            while True:
                try:
                    async with self._database.reading() as connection:
                        return (await connection.execute(query)).scalar_one_or_none()
                except FAILURES as exc:
                    warn(f"a request of another node could not be read ({type(exc).__name__})")
                await anyio.sleep(LOOK_SECONDS)
        return None

    async def _write(self, request_id: str, response: str) -> None:
        """Write a response down. Never raises: it is tried again while anybody waits."""
        change = sa.update(forwarded_requests).where(forwarded_requests.c.id == request_id).values(response=response)
        with anyio.move_on_after(RESPONSE_SECONDS):
            while True:
                try:
                    async with self._database.writing() as connection:
                        await connection.execute(change)
                    return
                except FAILURES as exc:
                    warn(f"a response to another node could not be written ({type(exc).__name__})")
                await anyio.sleep(LOOK_SECONDS)
