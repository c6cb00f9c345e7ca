"""What a process has once, however many users and clients it serves: HTTP, the tasks, and the maintenance loop.

Knows neither accounts nor connections. Nothing here needs an event loop before `run`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from appserver.log import warn
from appserver.loop_pauses import LoopPauses
from appserver.tasks import Tasks
from appserver.telemetry import NO_TELEMETRY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from appserver.auth.maintenance import Maintenance
    from appserver.auth.oauth.http import IssuerHttp
    from appserver.http import Http
    from appserver.session import Session
    from appserver.settings import Settings
    from appserver.telemetry import Telemetry


class Runtime:
    """The one of this process."""

    def __init__(self, settings: Settings, telemetry: Telemetry = NO_TELEMETRY) -> None:
        self.settings = settings
        self.telemetry = telemetry
        self.tasks = Tasks()
        """The tasks of workspaces: turns, logins, refreshes. They outlive the client that asked for them."""
        self.is_running = False
        self.loop_pauses = LoopPauses()
        self._started_at = monotonic()

    def uptime(self) -> float:
        """Return the seconds since the start."""
        return monotonic() - self._started_at

    @cached_property
    def maintenance(self) -> Maintenance:
        """The one loop that looks after the credentials of all workspaces."""
        from appserver.auth.maintenance import Maintenance  # late: with the event loop

        return Maintenance()

    @cached_property
    def http(self) -> Http:
        """The one HTTP stack."""
        from appserver.http import Http  # late: brings httpx

        return Http(self.settings)

    def issuer(self, session: Session) -> IssuerHttp:
        """Return requests to the issuer, in the name of a client."""
        from appserver.auth.oauth.http import IssuerHttp  # late: brings httpx

        return IssuerHttp(self.http, session)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks and the maintenance loop for the length of the block; then end them."""
        from anyio import create_task_group

        async with create_task_group() as group:
            self.tasks.open(group)
            group.start_soon(self.maintenance.run)
            self.is_running = True
            yield
            self.tasks.close()
            group.cancel_scope.cancel()

    async def close(self) -> None:
        """Close the connections that are kept, and export what has not been exported yet."""
        if "http" in self.__dict__:
            await self.http.close()
        if self.telemetry is not NO_TELEMETRY:
            from appserver.worker import Worker  # late: to nobody there is nothing to say

            exporting = Worker("telemetry")
            await exporting.run(self.telemetry.close)
            exporting.close()


def telemetry_of(environ: Mapping[str, str]) -> Telemetry:
    """Return what OpenTelemetry's environment variables ask for: nothing, mostly, and then nothing is imported."""
    if not any(name.startswith("OTEL_") for name in environ):
        return NO_TELEMETRY
    from appserver.otel_settings import is_configured

    if not is_configured(environ):
        return NO_TELEMETRY
    try:
        from appserver.otel import from_environment  # late: brings the SDK
    except ImportError:
        warn("OpenTelemetry is configured and not installed: pip install 'appserverd[otel]'")
        return NO_TELEMETRY
    return from_environment(environ)
