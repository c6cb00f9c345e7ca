"""Requests that only another node can answer, handed over in the database: those that interrupt or steer a turn.

The node that was asked writes the request down. The one that runs the turn looks for such requests while it runs any,
answers as if the client had come to it, and writes down the response, for which the first one waits.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from appserver import json_text
from appserver.errors import ForwardedError, ThreadStoreError
from appserver.gateway.database.schema import forwarded
from appserver.gateway.database.threads.queries import LEASED
from appserver.gateway.database.threads.schema import threads
from appserver.log import warn
from appserver.threads.stores.base import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from appserver.gateway.database.engine import Database
    from appserver.gateway.database.node import Node

    Respond = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    """Returns the response of this node to a request of a user's, by the user's id."""

LOOK_SECONDS = 0.25
"""Between two looks for requests of other nodes, and for a response of another node."""

RESPONSE_SECONDS = 8.0
"""What a node gets to respond: longer than the lease of one that has died."""

CLEAN_UP_SECONDS = 1.0
"""What the removal of a request may take. One that stays goes with the node that it was for."""

_FAILURES = (SQLAlchemyError, OSError)


class Forwarding:
    """One of a node."""

    def __init__(self, database: Database, node: Node) -> None:
        self._database = database
        self._node = node
        self._taken: set[str] = set()

    async def result(self, user_id: str, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return the result of a request about a thread, from the node that runs a turn in it.

        None: no other node does. Raises ForwardedError if that one refuses it, ThreadStoreError if it does not respond.
        """
        request_id = uuid.uuid4().hex
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        try:
            if not await self._ask(request_id, user_id, params["threadId"], request):
                return None
            try:
                response = await self._response(request_id)
            finally:
                await self._remove(request_id)
        except _FAILURES as exc:
            raise ThreadStoreError(f"the database cannot be used ({type(exc).__name__})", UNAVAILABLE) from exc
        if response is None:
            raise ThreadStoreError("the node that runs the turn does not respond", UNAVAILABLE)
        if "error" in response:
            raise ForwardedError(**response["error"])
        return response["result"]

    async def run(self, respond: Respond) -> None:
        """Respond to what other nodes ask, again and again, while this one runs turns, and once more after that."""
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(LOOK_SECONDS)
                if self._node.had_turns():
                    try:
                        await self._take(group, respond)
                    except _FAILURES as exc:
                        warn(f"requests of other nodes could not be looked for ({type(exc).__name__})")

    async def _ask(self, request_id: str, user_id: str, thread_id: str, request: dict[str, Any]) -> bool:
        """Write a request down for the node that runs a turn in the thread. Returns whether another node does.

        The turn does not end meanwhile, so the node finds the request when it looks for the last time.
        """
        here = sa.and_(threads.c.user_id == user_id, threads.c.id == thread_id)
        elsewhere = sa.and_(threads.c.running.is_not(None), threads.c.owner != self._node.id, LEASED)
        values = (sa.literal(request_id), threads.c.owner, threads.c.user_id, sa.literal(json_text.encode(request)))
        row = sa.insert(forwarded).from_select(
            ["id", "node_id", "user_id", "request"],
            sa.select(*values).where(here, elsewhere).with_for_update(read=True, of=threads),
        )
        async with self._database.writing() as connection:
            return (await connection.execute(row)).rowcount == 1

    async def _response(self, request_id: str) -> dict[str, Any] | None:
        """Wait for a response. None: none comes in time, or the node has ended."""
        query = sa.select(forwarded.c.response).where(forwarded.c.id == request_id)
        with anyio.move_on_after(RESPONSE_SECONDS):
            while True:
                await anyio.sleep(LOOK_SECONDS)
                async with self._database.reading() as connection:
                    row = (await connection.execute(query)).one_or_none()
                if row is None:
                    return None
                if row.response is not None:
                    response: dict[str, Any] = json_text.decode_stored(row.response)
                    return response
        return None

    async def _remove(self, request_id: str) -> None:
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            async with self._database.writing() as connection:
                await connection.execute(sa.delete(forwarded).where(forwarded.c.id == request_id))

    async def _take(self, group: TaskGroup, respond: Respond) -> None:
        """Take the requests for this node, and respond to each in a task of its own."""
        query = sa.select(forwarded.c.id, forwarded.c.user_id, forwarded.c.request).where(
            forwarded.c.node_id == self._node.id, forwarded.c.response.is_(None)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            if row.id not in self._taken:
                group.start_soon(self._answer, respond, row.id, row.user_id, row.request)
        self._taken = {row.id for row in rows}  # not fewer: what was answered since the rows were read is among them

    async def _answer(self, respond: Respond, request_id: str, user_id: str, request: str) -> None:
        response = json_text.encode(await respond(user_id, json_text.decode_stored(request)))
        change = sa.update(forwarded).where(forwarded.c.id == request_id).values(response=response)
        try:
            async with self._database.writing() as connection:
                await connection.execute(change)
        except _FAILURES as exc:
            warn(f"the response to another node could not be written ({type(exc).__name__})")
