"""The credential of a provider that gets it from a command: kept in memory, and printed again when it is refused.

Has the methods of the manager of the user's login (`for_request`, `refresh`), and runs the command once for any number
of turns that need it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from appserver.auth.credentials import ApiKey, Held
from appserver.auth.policy import check_sendable
from appserver.auth.refresh.printed_token import printed_token
from appserver.auth.refresh.single_flight import SingleFlight
from appserver.log import HiddenSecrets
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.settings import TokenCommand
    from appserver.tasks import Tasks

NONE_YET = Held(ApiKey(Secret("")), 0)


class CommandTokens:
    """What one command prints."""

    def __init__(self, command: TokenCommand, tasks: Tasks, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._hidden = HiddenSecrets()
        self._held = NONE_YET
        self._stale_at = clock()
        self._refreshes = SingleFlight(tasks, self._run)

    async def for_request(self) -> Held:
        """Return a token that need not be printed again yet. Raises RefreshError."""
        if self._held is NONE_YET or self._clock() >= self._stale_at:
            await self._refreshes.join(self._held)
        return self._held

    async def refresh(self, generation: int) -> Held:
        """Return another token than that of a generation, which was refused. Raises RefreshError."""
        if generation == self._held.generation:
            await self._refreshes.join(self._held)
        return self._held

    async def _run(self, held: Held) -> None:
        command = self._command
        credential = ApiKey(await printed_token([*command.words], command.timeout, command.directory))
        check_sendable(credential)
        self._hidden.hide(credential.key)
        self._held = Held(credential, held.generation + 1)
        self._stale_at = self._clock() + command.refresh_interval
        self._refreshes.supersede()
