"""Requests that only another node can answer, handed over in the database: those that interrupt or steer a turn.

The node that was asked writes the request down, and looks for the response of the one that runs the turn (`forwarded`).
"""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import anyio
import sqlalchemy as sa

from appserver import json_text
from appserver.errors import ForwardedError, Overloaded, ThreadStoreError
from appserver.gateway.database.connections import FAILURES
from appserver.gateway.database.threads.queries import LEASED
from appserver.gateway.database.threads.schema import Key, forwarded_requests, here, threads
from appserver.log import warn
from appserver.threads.stores.base import UNAVAILABLE, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.gateway.database.engine import Database
    from appserver.gateway.database.node import Node

LOOK_SECONDS = 0.25
"""Between two looks at the database, on either node."""

LOOK_TIMEOUT_SECONDS = 5.0
"""What a look may take."""

RESPONSE_SECONDS = 8.0
"""What a node gets to respond: longer than the lease of one that has died. A request is not answered after that."""

CLEAN_UP_SECONDS = 1.0
"""What the removal of a request may take."""

KEPT_SECONDS = 60.0
"""After which a request that could not be removed is removed together with another one."""

MAX_OF_USER = 32
"""Requests of a user's that wait for other nodes at once."""

MAX_WAITING = 500
"""Requests that wait for other nodes at once."""

RETRY_AFTER_MS = 1000
"""When a client whose request was one too many may try again."""


class _Waiting:
    """A request that was written down, until its response has been read."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.response: dict[str, Any] | None = None
        """None: there is none, and if the request has ended, its node has."""


class Forwarding:
    """One of a node."""

    def __init__(self, database: Database, node: Node) -> None:
        self._database = database
        self._node = node
        self._asking = WeakValueDictionary[Key, anyio.Lock]()
        """Held while a request about a thread is written down: they are answered in the order in which they came."""
        self._numbers = count()
        self._of_users = Counter[str]()
        self._waiting: dict[str, _Waiting] = {}

    async def forward(self, user_id: str, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return the result of a request about a thread, from the node that runs a turn in it.

        None: no other node does. Raises ForwardedError if that one refuses it, ThreadStoreError if it does not respond,
        and Overloaded.
        """
        key = Key(user_id, plain(params["threadId"]))
        try:
            with self._counted(user_id), anyio.move_on_after(RESPONSE_SECONDS):
                waiting = await self._response(key, method, params)
                if waiting is None:
                    return None
                if waiting.response is not None:
                    return _result(waiting.response)
        except FAILURES as exc:
            raise ThreadStoreError(f"the database cannot be used ({type(exc).__name__})", UNAVAILABLE) from exc
        raise ThreadStoreError("the node that runs the turn does not respond", UNAVAILABLE)

    async def run(self) -> None:
        """Look for responses, again and again."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            if self._waiting:
                try:
                    with anyio.fail_after(LOOK_TIMEOUT_SECONDS):
                        await self._read_responses()
                except FAILURES as exc:
                    warn(f"responses of other nodes could not be looked for ({type(exc).__name__})")

    @contextmanager
    def _counted(self, user_id: str) -> Iterator[None]:
        """Count a request while it is in the block. Raises Overloaded where it is one too many."""
        if self._of_users[user_id] >= MAX_OF_USER or self._of_users.total() >= MAX_WAITING:
            raise Overloaded(RETRY_AFTER_MS)
        self._of_users[user_id] += 1
        try:
            yield
        finally:
            self._of_users[user_id] -= 1
            if not self._of_users[user_id]:
                del self._of_users[user_id]

    async def _runs_elsewhere(self, key: Key) -> bool:
        """Whether another node runs a turn in the thread. It spares a transaction that writes where none does."""
        async with self._database.reading() as connection:
            query = sa.select(sa.literal(1)).where(here(threads), self._elsewhere)
            return (await connection.execute(query, key.at)).first() is not None

    async def _response(self, key: Key, method: str, params: dict[str, Any]) -> _Waiting | None:
        """Write a request down and wait until it has ended. None: no other node runs a turn in the thread."""
        request_id, waiting = uuid.uuid4().hex, _Waiting()
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        async with AsyncExitStack() as stack:
            async with self._asking.setdefault(key, anyio.Lock()):
                if not await self._runs_elsewhere(key):
                    return None
                stack.push_async_callback(self._remove, request_id)
                if not await self._ask(request_id, key, json_text.encode(request)):
                    return None
            self._waiting[request_id] = waiting
            stack.callback(self._waiting.pop, request_id)
            await waiting.ended.wait()
            return waiting

    async def _ask(self, request_id: str, key: Key, request: str) -> bool:
        """Write a request down for the node that runs a turn in the thread. Returns whether another node does.

        The turn does not end meanwhile, so the node finds the request when it looks for the last time.
        """
        values = {
            "id": sa.literal(request_id),
            "node_id": threads.c.owner,
            "user_id": threads.c.user_id,
            "thread_id": threads.c.id,
            "number": sa.literal(next(self._numbers)),
            "asked_at": self._database.now,
            "request": sa.literal(request),
        }
        running = sa.select(*values.values()).where(here(threads), self._elsewhere)
        running = running.with_for_update(read=True, of=threads)
        async with self._database.writing() as connection:
            row = sa.insert(forwarded_requests).from_select(list(values), running)
            return (await connection.execute(row, key.at)).rowcount == 1

    @property
    def _elsewhere(self) -> sa.ColumnElement[bool]:
        return sa.and_(threads.c.running.is_not(None), threads.c.owner != self._node.id, LEASED)

    async def _read_responses(self) -> None:
        asked = list(self._waiting)
        query = sa.select(forwarded_requests.c.id, forwarded_requests.c.response)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.where(forwarded_requests.c.id.in_(asked)))
            responses = {row.id: row.response for row in rows}
        for request_id in asked:
            response = responses.get(request_id)
            waiting = self._waiting.get(request_id)
            if waiting is not None and (response is not None or request_id not in responses):
                waiting.response = None if response is None else json_text.decode_stored(response)
                waiting.ended.set()

    async def _remove(self, request_id: str) -> None:
        """Remove a request, and such as nobody has removed. Never raises."""
        old = forwarded_requests.c.asked_at < self._database.now - KEPT_SECONDS
        try:
            with anyio.fail_after(CLEAN_UP_SECONDS, shield=True):
                async with self._database.writing() as connection:
                    row = sa.delete(forwarded_requests).where(sa.or_(forwarded_requests.c.id == request_id, old))
                    await connection.execute(row)
        except FAILURES as exc:
            warn(f"a request between nodes could not be removed; another one removes it ({type(exc).__name__})")


def _result(response: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the result in a response. Raises ForwardedError."""
    if "error" in response:
        raise ForwardedError(**response["error"])
    return response["result"]
