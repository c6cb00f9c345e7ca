"""Processes that share one place where threads are kept, as the tests of each such store open it."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import anyio

from appserver.gateway.database.accounts import Accounts
from appserver.gateway.database.engine import Database
from appserver.gateway.database.node import Node
from appserver.gateway.database.threads.store import SqlThreads
from appserver.tasks import Tasks
from appserver.threads.stores.sqlite.store import SqliteThreads

if TYPE_CHECKING:
    from types import TracebackType

    from appserver.threads.stores.base import ThreadStore


class Sharing(Protocol):
    """One such place."""

    async def open(self) -> ThreadStore:
        """Open it as one more process does."""

    async def end(self, store: ThreadStore) -> None:
        """End the process that has opened a store, in the middle of what it does."""


class Home:
    """A home directory with a threads.db."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stores: list[SqliteThreads] = []

    async def __aenter__(self) -> Home:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for store in self._stores:
            await store.close()

    async def open(self) -> SqliteThreads:
        self._stores.append(SqliteThreads(self._path))
        return self._stores[-1]

    async def end(self, store: ThreadStore) -> None:
        await store.close()  # what the system does for a process: its lock is gone, its turn is not


class Nodes:
    """The gateway's database, and nodes on it. The threads are those of a user who is added for them."""

    def __init__(self, url: str | None, home: str) -> None:
        self._url = url
        self._home = home
        self._stack = AsyncExitStack()
        self._nodes: dict[ThreadStore, Node] = {}

    async def __aenter__(self) -> Nodes:
        await self._stack.__aenter__()
        self._databases = await self._stack.enter_async_context(AsyncExitStack())
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(self._group.cancel_scope.cancel)  # before the databases are closed
        self.first = await self.node()
        self.user_id = await self.add_user()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, exc, traceback)

    async def add_user(self) -> str:
        """Add a user, who has no threads, and return their id."""
        return await Accounts(self.first.database).add_user(uuid.uuid4().hex, None)

    async def node(self) -> Node:
        """Start a node."""
        database, tasks = await Database.open(self._url, self._home), Tasks()
        self._databases.push_async_callback(database.close)
        tasks.open(self._group)
        return Node(database, tasks)

    async def open(self) -> SqlThreads:
        node = await self.node()
        store = SqlThreads(node, self.user_id)
        self._nodes[store] = node
        return store

    def node_of(self, store: ThreadStore) -> Node:
        """Return the node that has opened a store."""
        return self._nodes[store]

    async def end(self, store: ThreadStore) -> None:
        await self._nodes[store].close()  # its lease is over, its turn is not
