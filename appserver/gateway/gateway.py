"""What an HTTP server needs of the gateway: the users, the bounds, and which requests run.

One per process. Owns a `server.serve.Server`, which keeps the workspaces running.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from appserver.errors import ConfigError
from appserver.gateway.users import OneUser
from appserver.server.serve import Server
from appserver.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.gateway.environment import Environment
    from appserver.gateway.exchange import Exchange
    from appserver.gateway.users import Users
    from appserver.settings import Settings

INTERRUPT_SECONDS = 2.0
"""What interrupted requests get to tell their clients so."""


class Gateway:
    """Serves users over HTTP."""

    def __init__(self, settings: Settings, environment: Environment) -> None:
        """Raises ConfigError."""
        self.settings = settings
        self.environment = environment
        self.server = Server(settings)
        self.session = Session()
        """In whose name the backend is asked: the gateway's."""
        self.is_draining = False
        """Whether the end has begun: no further request is taken."""
        self._running = 0
        self._exchanges: set[Exchange] = set()
        self._idle = anyio.Event()
        if environment.api_key is None:
            raise ConfigError("GATEWAY_API_KEY is not set")
        self.users: Users = OneUser(self.server.home, environment.api_key)

    @property
    def retry_after(self) -> int:
        """Seconds after which a client that is turned away may come back: another process serves then."""
        return max(1, math.ceil(self.environment.shutdown))

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it runs."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @contextmanager
    def exchange(self, exchange: Exchange) -> Iterator[None]:
        """Know an exchange while it runs: the end of the server interrupts it."""
        self._exchanges.add(exchange)
        try:
            yield
        finally:
            self._exchanges.discard(exchange)

    async def drain(self) -> None:
        """Take no further request, and wait until none runs. Those that take too long are interrupted."""
        self.is_draining = True
        if await self._drained(self.environment.shutdown):
            return
        for exchange in tuple(self._exchanges):
            exchange.interrupt()
        await self._drained(INTERRUPT_SECONDS)

    async def _drained(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            while self._running:
                self._idle = anyio.Event()
                await self._idle.wait()
        return not self._running
