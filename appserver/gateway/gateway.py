"""What an HTTP server needs of the gateway: the users, what they use, the bounds, and which requests run.

One per process. Owns a `server.serve.Server`, which keeps the workspaces running.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from appserver.auth.credentials import ApiKey
from appserver.errors import RequestError
from appserver.gateway.database.accounts import Accounts
from appserver.gateway.database.cipher import Cipher, keys_of
from appserver.gateway.database.credentials import Place, SqlCredentials
from appserver.gateway.database.engine import Database
from appserver.gateway.database.node import Node
from appserver.gateway.database.secret_keys import check_keys
from appserver.gateway.database.versions import Versions
from appserver.gateway.forwarded import Forwarded
from appserver.gateway.forwarding import Forwarding
from appserver.gateway.metering import Metering
from appserver.gateway.metrics import Metrics
from appserver.gateway.oauth.endpoints import Provider
from appserver.gateway.oauth.store import OAuthStore
from appserver.gateway.refreshing import Refreshing
from appserver.gateway.remote import RemoteConnection
from appserver.gateway.scopes import ALL
from appserver.gateway.served import Served
from appserver.gateway.users import Users
from appserver.server.serve import Server
from appserver.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from appserver.gateway.environment import Environment
    from appserver.gateway.users import Caller
    from appserver.server.connection import Connection
    from appserver.settings import Settings

INTERRUPT_SECONDS = 2.0
"""What interrupted requests get to tell their clients so."""


class Gateway:
    """Serves users over HTTP."""

    def __init__(self, settings: Settings, environment: Environment, database: Database) -> None:
        """Raises ConfigError."""
        self.settings = settings
        self.environment = environment
        self.database = database
        self.server = Server(settings)
        self.session = Session()
        """In whose name the backend is asked: the gateway's."""
        self.is_draining = False
        """Whether the end has begun: no further request is taken."""
        self.accounts = Accounts(database)
        self.place = Place(
            database,
            Cipher(keys_of(environment.secret_keys, settings.home)),
            Versions(),
            self.server.runtime.tasks,
            ApiKey(environment.openai_api_key) if environment.openai_api_key else None,
        )
        self.node = Node(database, self.server.runtime.tasks)
        oauth = OAuthStore(database, environment.refresh_grace)
        self.provider = Provider(oauth, self.accounts, self.place.cipher, environment.public_url)
        self.users = Users(self.server, self.accounts, oauth, self.place, self.node, environment.api_key)
        self.metrics = Metrics()
        self.metering = Metering(database, self.metrics)
        self.refreshing = Refreshing(database, self.users)
        self.served = Served(database, self.users)
        self.forwarding = Forwarding(database, self.node)
        self.forwarded = Forwarded(database, self.node)
        self._idle = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, environment: Environment) -> AsyncIterator[Gateway]:
        """Open the database for the length of the block, and serve nobody. Raises ConfigError."""
        async with cls._with_database(settings, environment) as gateway, gateway.server.running():
            yield gateway

    @classmethod
    @asynccontextmanager
    async def running(cls, settings: Settings, environment: Environment) -> AsyncIterator[Gateway]:
        """Open the database, and run what serving needs, for the length of the block. Raises ConfigError."""
        async with cls._with_database(settings, environment) as gateway:
            await gateway.check_keys()
            await gateway.users.begin()
            if (client := environment.oauth_client) is not None:
                await gateway.accounts.put_client(client.id, client.id, client.secret, ALL, client.redirect_uris)
            async with gateway.server.running():
                async with anyio.create_task_group() as group:
                    group.start_soon(gateway.metering.run)
                    group.start_soon(gateway.refreshing.run)
                    group.start_soon(gateway.served.run)
                    yield gateway
                    group.cancel_scope.cancel()
                await gateway.metering.flush()

    @classmethod
    @asynccontextmanager
    async def _with_database(cls, settings: Settings, environment: Environment) -> AsyncIterator[Gateway]:
        database = await Database.open(environment.database_url, settings.home)
        try:
            gateway = cls(settings, environment, database)
            yield gateway
            await gateway.node.close()
        finally:
            with anyio.CancelScope(shield=True):
                await database.close()

    async def check_keys(self) -> None:
        """Raise ConfigError unless all that is stored was encrypted with the secret keys of this process."""
        await check_keys(self.database, self.place.cipher)

    def store(self, user_id: str) -> SqlCredentials:
        """Return the store of a user's credential."""
        return SqlCredentials(self.place, user_id)

    async def store_of(self, name: str) -> SqlCredentials:
        """Return the store of a user's credential, by the user's name. Raises RequestError."""
        return self.store(await self.user_id(name))

    async def user_id(self, name: str) -> str:
        """Return the id of the user with this name. Raises RequestError."""
        found = await self.accounts.user(name)
        if found is None:
            raise RequestError("There is no such user")
        return found[0]

    async def is_ready(self) -> bool:
        """Whether requests are taken, and the database answers."""
        return not self.is_draining and await self.database.answers()

    @property
    def retry_after(self) -> int:
        """Seconds after which a client that is turned away may come back: another process serves then."""
        return max(1, math.ceil(self.environment.shutdown))

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it runs."""
        self.metrics.running += 1
        try:
            yield
        finally:
            self.metrics.running -= 1
            if not self.metrics.running:
                self._idle.set()

    def connection(self, caller: Caller, kind: type[RemoteConnection] = RemoteConnection) -> Connection:
        """Return a connection of a user's for a client that speaks JSON-RPC."""
        forward = partial(self.forwarding.forward, caller.user_id)
        return self.server.connection(caller.workspace, kind=partial(kind, forward=forward))

    async def drain(self) -> None:
        """Take no further request, and no turn, and wait until none runs. Those that take too long are interrupted.

        Then WebSockets are closed, whose clients have been told of the end of their turns.
        """
        self.is_draining = True
        self.users.start_no_turns()
        with anyio.move_on_after(self.environment.shutdown):
            await self._idle_now()
            await self.users.turns_ended()
        self.users.interrupt_turns()
        with anyio.move_on_after(INTERRUPT_SECONDS):
            await self.users.turns_ended()
        with anyio.move_on_after(INTERRUPT_SECONDS):
            await self.served.end()
            await self._idle_now()

    async def _idle_now(self) -> None:
        """Wait until no request runs. WebSockets are none: they may last for days."""
        while self.metrics.running:
            self._idle = anyio.Event()
            await self._idle.wait()
