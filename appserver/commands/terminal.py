"""The services of the daemon with a person at a terminal where the client would be.

Owns the event loop of a command. That person is told by the command itself, and cannot renew anybody's tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from anyio import create_task_group, run

from appserver.commands.output import FAILED, complain
from appserver.errors import AppServerError, ClientError
from appserver.log import set_up_logging
from appserver.server.services import Services
from appserver.session import Session
from appserver.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from appserver.settings import Settings


class _Person:
    """Stands in for the client (`services.ClientSide`)."""

    def notify(self, method: str, params: object) -> None:
        """Do nothing: the command says what there is to say."""

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> NoReturn:
        raise ClientError(f"{method}: there is no client to ask")


def with_services(settings: Settings, work: Callable[[Services], Awaitable[int]]) -> int:
    """Run `work` and what it starts in the background; return its exit code, or FAILED where it raises.

    What goes wrong is told in one line. Raises ConfigError where the services cannot be made.
    """
    return run(_with_services, settings, work)


def log_for_person(settings: Settings, environ: Mapping[str, str], usually: str) -> None:
    """Log at the level that the environment asks for, else at `usually`."""
    set_up_logging(settings.log_level if environ.get("APPSERVER_LOG") else usually)


async def _with_services(settings: Settings, work: Callable[[Services], Awaitable[int]]) -> int:
    tasks = Tasks()
    services = Services(settings, Session(), tasks, _Person(), _room)
    code = FAILED
    try:
        async with create_task_group() as group:
            tasks.open(group)
            code = await _outcome(services, work)
    finally:
        await services.close()
    return code


async def _outcome(services: Services, work: Callable[[Services], Awaitable[int]]) -> int:
    try:
        await services.auth.apply(services.auth.known)  # from now on the keyring, if it is used, has been asked
        return await work(services)
    except AppServerError as exc:
        complain(exc.message)
        return FAILED


async def _room() -> None:
    """There is no outbox that could be full."""
