"""One refresh for any number of callers, in a task of its own.

A refresh token is redeemed only once, so the response must be taken even if every caller has given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import AuthError, RefreshError
from appserver.log import log_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio import Event

    from appserver.auth.credentials import Held
    from appserver.tasks import Tasks


class _Refresh:
    """A refresh under way, or one that failed for good."""

    def __init__(self, held: Held) -> None:
        from anyio import Event  # late: `server/startup.py` needs this module before there is a loop

        self.held = held
        self.released: Event = Event()
        """No caller need wait any longer."""
        self.ended: Event = Event()
        """It is over."""
        self.superseded = False
        """Another credential is held by now, from this refresh or from elsewhere."""
        self.failure: AuthError | None = None


class SingleFlight:
    """The refresh of the credential in use. `refresh` replaces it, or raises AuthError."""

    def __init__(self, tasks: Tasks, refresh: Callable[[Held], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._refresh = refresh
        self._current: _Refresh | None = None

    async def join(self, held: Held) -> None:
        """Wait until another credential is held than this. Raises AuthError if its refresh has failed."""
        refresh = self._current
        if refresh is None or refresh.held.generation != held.generation:
            refresh = self._current = _Refresh(held)
            self._tasks.start(self._run, refresh)
        await refresh.released.wait()
        if not refresh.superseded:
            raise refresh.failure or RefreshError("The refresh was cut off by a shutdown")

    def supersede(self) -> None:
        """Let no caller wait any longer: another credential is held. A refresh under way runs to its end."""
        if self._current is not None:
            self._current.superseded = True
            self._current.released.set()

    async def idle(self) -> None:
        """Wait until no refresh is under way."""
        if self._current is not None:
            await self._current.ended.wait()

    async def _run(self, refresh: _Refresh) -> None:
        try:
            await self._refresh(refresh.held)
        except AuthError as exc:
            refresh.failure = exc
        except Exception as exc:  # noqa: BLE001 - a foreign refresher may raise anything, and turns wait for the end
            log_exception("a refresher failed unexpectedly", exc)
            refresh.failure = RefreshError("The refresh failed unexpectedly")
        finally:
            # One that failed for good stays: a caller that still has that credential joins it and is told at once. Not
            # that of a managed login: its store knows when that may be tried again.
            is_final = isinstance(refresh.failure, RefreshError) and refresh.failure.permanent
            stays = is_final and refresh.held.credential.refresh_token is None
            if self._current is refresh and not stays:
                self._current = None
            refresh.released.set()
            refresh.ended.set()
