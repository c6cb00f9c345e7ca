"""What is done for the credential while nobody asks: looking, making up, and renewing ahead of time.

Three loops, because none may keep the others waiting: a renewal may wait for the issuer, and a lock may be stuck, while
another process signs out.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio

from appserver.errors import AuthError
from appserver.log import log_exception, warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.auth.manager import AuthManager
    from appserver.settings import Settings

LOOK_SECONDS = 2.0
"""How often to look at what other processes have stored. They are told of within 5 s."""

MAKE_UP_SECONDS = 10.0
"""How often to try again to store what is not stored. A lock that is stuck holds up everything for two of them."""


class Upkeep:
    """Looks after the credential of one connection."""

    def __init__(self, settings: Settings, auth: AuthManager) -> None:
        self._settings = settings
        self._auth = auth

    async def run(self) -> None:
        """Run until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(_repeat, self._look, lambda: LOOK_SECONDS)
            group.start_soon(_repeat, self._auth.make_up, lambda: MAKE_UP_SECONDS)
            if self._settings.background_interval:
                group.start_soon(_repeat, self._renew_later, lambda: 0.0)

    async def _look(self) -> None:
        self._auth.current()

    async def _renew_later(self) -> None:
        """Renew ahead of time, after a wait with jitter: many processes of one user must not all ask at once."""
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        await anyio.sleep(self._settings.background_interval * jitter)
        await self._renew_ahead()

    async def _renew_ahead(self) -> None:
        held = self._auth.current()
        if held is None or not held.credential.is_renewable or self._auth.needs_login:
            return
        if held.credential.is_external and not self._settings.background_external:
            return
        if self._auth.expires_within(held.credential, self._settings.background_skew):
            try:
                await self._auth.renew(held.generation)
            except AuthError as exc:
                warn(f"the tokens were not renewed ahead of time: {exc.message}")


async def _repeat(act: Callable[[], Awaitable[None]], pause: Callable[[], float]) -> None:
    """Act at once and after every pause. What goes wrong is logged: it must not end the server."""
    while True:
        try:
            await act()
        except Exception as exc:  # noqa: BLE001 - as the docstring says
            log_exception("looking after the credential failed unexpectedly", exc)
        await anyio.sleep(pause())
