"""One refresh for any number of callers, in a task of its own.

A refresh token is redeemed only once, so the answer must be taken even if everybody who asked for it has given up.
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


class _Flight:
    """A refresh under way, or one that failed for good."""

    def __init__(self, held: Held) -> None:
        from anyio import Event  # late: `server/startup.py` needs this module before there is a loop

        self.held = held
        self.settled: Event = Event()
        """Nobody need wait any longer."""
        self.landed: Event = Event()
        """It is over."""
        self.overtaken = False
        """Something else is held by now, from this refresh or from somewhere else."""
        self.failure: AuthError | None = None


class SingleFlight:
    """The refresh of what is held. `refresh` holds something else when it succeeds, and raises AuthError if not."""

    def __init__(self, tasks: Tasks, refresh: Callable[[Held], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._refresh = refresh
        self._flight: _Flight | None = None

    async def join(self, held: Held) -> None:
        """Wait until something else is held than this. Raises AuthError if its refresh has failed."""
        flight = self._flight
        if flight is None or flight.held.generation != held.generation:
            flight = self._flight = _Flight(held)
            self._tasks.start(self._fly, flight)
        await flight.settled.wait()
        if not flight.overtaken:
            raise flight.failure or RefreshError("The refresh was cut off by a shutdown")

    def overtake(self) -> None:
        """Let nobody wait any longer: something else is held. What is under way runs to its end."""
        if self._flight is not None:
            self._flight.overtaken = True
            self._flight.settled.set()

    async def landed(self) -> None:
        """Wait until no refresh is under way."""
        if self._flight is not None:
            await self._flight.landed.wait()

    async def _fly(self, flight: _Flight) -> None:
        try:
            await self._refresh(flight.held)
        except AuthError as exc:
            flight.failure = exc
        except Exception as exc:  # noqa: BLE001 - a foreign refresher may raise anything, and turns wait for the end
            log_exception("a refresher failed unexpectedly", exc)
            flight.failure = RefreshError("The refresh failed unexpectedly")
        finally:
            # One that failed for good stays: whoever still has that credential joins it and is told at once. Not that
            # of a managed login: its store knows when that may be tried again.
            is_final = isinstance(flight.failure, RefreshError) and flight.failure.permanent
            stays = is_final and flight.held.credential.refresh_token is None
            if self._flight is flight and not stays:
                self._flight = None
            flight.settled.set()
            flight.landed.set()
