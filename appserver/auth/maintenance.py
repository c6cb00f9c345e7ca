"""What is done for the credentials in the background: looking at the store, storing again, and refreshing early.

One loop for all accounts of the process: hundreds that are idle cost one wake-up. What may wait is done in a task of
its own, because none may keep the others waiting: a refresh may wait for the issuer, and a lock may be stuck, while
another process signs out.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import anyio

from appserver.errors import AuthError
from appserver.log import log_exception, warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from appserver.auth.manager import AuthManager
    from appserver.settings import Settings

LOOK_SECONDS = 2.0
"""How often to look at what other processes have stored. They are told of within 5 s."""

STORE_AGAIN_SECONDS = 10.0
"""How often to try again to store what is not stored. A lock that is stuck holds up everything for two of them."""


class Maintenance:
    """Looks after the credentials of all accounts."""

    def __init__(self) -> None:
        self._accounts: dict[AuthManager, AccountMaintenance] = {}
        self._added = anyio.Event()

    def add(self, settings: Settings, auth: AuthManager) -> None:
        """Look after an account from now on."""
        self._accounts[auth] = AccountMaintenance(settings, auth)
        self._added.set()

    def remove(self, auth: AuthManager) -> None:
        """Look after an account no longer."""
        self._accounts.pop(auth, None)

    async def run(self) -> None:
        """Run until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                self._added = anyio.Event()
                now = anyio.current_time()
                for account in tuple(self._accounts.values()):
                    account.look(group)
                    account.begin_what_is_due(now, group)
                next_due = min((one.next_due for one in self._accounts.values()), default=now + LOOK_SECONDS)
                with anyio.move_on_after(min(next_due - now, LOOK_SECONDS)):
                    await self._added.wait()


class AccountMaintenance:
    """What is done for one account, and when it is due next, in the event loop's time."""

    def __init__(self, settings: Settings, auth: AuthManager) -> None:
        self._settings = settings
        self._auth = auth
        self._looking = False
        self._periodic = [_Periodic(auth.store_unsaved, lambda: STORE_AGAIN_SECONDS)]
        if settings.background_interval:
            self._periodic.append(_Periodic(self._refresh_early, self._refresh_interval, at_once=False))

    @property
    def next_due(self) -> float:
        """When there is something to do beside looking; infinite while it is under way."""
        return min(one.due for one in self._periodic)

    def look(self, group: TaskGroup) -> None:
        """Look whether another process has stored something, and begin to take it over if so."""
        try:
            if not self._looking and self._auth.has_news():
                self._looking = True
                group.start_soon(self._take_over)
        except Exception as exc:  # noqa: BLE001 - it must not end the server
            _log(exc)

    def begin_what_is_due(self, now: float, group: TaskGroup) -> None:
        """Begin what is due and not under way."""
        for one in self._periodic:
            one.begin_if_due(now, group)

    async def _take_over(self) -> None:
        try:
            await self._auth.look()
        except Exception as exc:  # noqa: BLE001 - it must not end the server
            _log(exc)
        finally:
            self._looking = False

    def _refresh_interval(self) -> float:
        """With jitter: many processes of one user must not all ask at once."""
        return self._settings.background_interval * random.uniform(0.8, 1.2)  # noqa: S311 - no secret

    async def _refresh_early(self) -> None:
        held = await self._auth.look()
        if held is None or not held.credential.is_renewable or self._auth.needs_login:
            return
        if held.credential.is_external and not self._settings.background_external:
            return
        if self._auth.expiry.within(held.credential, self._settings.background_skew):
            try:
                await self._auth.refresh(held.generation)
            except AuthError as exc:
                warn(f"the tokens were not refreshed early: {exc.message}")


class _Periodic:
    """Something that is done again an interval after it has ended."""

    def __init__(
        self, act: Callable[[], Awaitable[None]], interval: Callable[[], float], *, at_once: bool = True
    ) -> None:
        self.due = 0.0 if at_once else -1.0
        self._act = act
        self._interval = interval

    def begin_if_due(self, now: float, group: TaskGroup) -> None:
        if self.due < 0:
            self.due = now + self._interval()
        elif self.due <= now:
            self.due = math.inf  # until it has ended
            group.start_soon(self._run)

    async def _run(self) -> None:
        try:
            await self._act()
        except Exception as exc:  # noqa: BLE001 - it must not end the server
            _log(exc)
        self.due = anyio.current_time() + self._interval()


def _log(exc: Exception) -> None:
    log_exception("looking after the credential failed unexpectedly", exc)
