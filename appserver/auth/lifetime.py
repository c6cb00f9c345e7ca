"""How long an account is open in a program: its tasks, its HTTP connections, and the end of both in order.

The library's counterpart of the server's runtime. Knows nothing of what the account is used for.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from appserver.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from anyio.abc import TaskGroup
    from anyio.from_thread import BlockingPortal

    from appserver.auth.authentication import Authentication
    from appserver.auth.oauth.http import IssuerHttp
    from appserver.http import Http
    from appserver.session import Session
    from appserver.settings import Settings

Args = TypeVarTuple("Args")
T = TypeVar("T")

CLOSE_SECONDS = 3.0
"""What closing waits for a refresh or a revocation that is under way: as long as a server that ends. Only the issuer's
answer to a redemption is waited for longer (`redemption.REDEMPTION_SECONDS`): without it the login would be lost."""


class Lifetime:
    """That of one account: from `begin` to `end`, once."""

    def __init__(self, settings: Settings) -> None:
        self.tasks = Tasks()
        self._settings = settings
        self._stack: AsyncExitStack | None = None
        self._group: TaskGroup
        self._portal: BlockingPortal | None = None

    def check_open(self) -> BlockingPortal:
        """Return the way into the event loop. Raises RuntimeError if the account is not open."""
        if self._portal is None:
            raise RuntimeError("The account is not open: use it in an `async with` block")
        return self._portal

    def from_thread(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Call a coroutine function in the event loop, from another thread."""
        return self.check_open().call(function, *args)

    def issuer(self, session: Session) -> IssuerHttp:
        """Return requests to the issuer, in the name of a session."""
        from appserver.auth.oauth.http import IssuerHttp  # late: brings httpx

        return IssuerHttp(self._http, session)

    async def begin(self, authentication: Authentication) -> None:
        """Run the account's tasks, and look after its credential, in this event loop."""
        from anyio import create_task_group  # late, as all of it is: importing the library is cheap
        from anyio.from_thread import BlockingPortal

        from appserver.auth.maintenance import Maintenance

        if self._stack is not None:
            raise RuntimeError("An account is opened once")
        self._stack = AsyncExitStack()
        self._group = await self._stack.enter_async_context(create_task_group())
        self._portal = await self._stack.enter_async_context(BlockingPortal())
        self.tasks.open(self._group)
        maintenance = Maintenance()
        maintenance.add(self._settings, authentication.auth)
        self._group.start_soon(maintenance.run)

    async def end(
        self,
        authentication: Authentication,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        *,
        closes_store: bool,
    ) -> bool | None:
        """Let what is under way come to its end, within bounds; as `__aexit__`."""
        assert self._stack is not None  # noqa: S101 - set by begin
        portal, self._portal = self.check_open(), None
        await portal.stop(cancel_remaining=True)
        try:
            await self._wind_down(authentication, stops_waiting=closes_store)
        finally:
            self._group.cancel_scope.cancel()
            outcome = None
            if isinstance(error, Exception):
                # Kept from the task group, which would wrap it in an ExceptionGroup.
                await self._stack.__aexit__(None, None, None)
            else:
                outcome = await self._stack.__aexit__(kind, error, trace)
            await self._close(authentication, closes_store=closes_store)
        return outcome

    async def _wind_down(self, authentication: Authentication, *, stops_waiting: bool) -> None:
        from anyio import move_on_after

        authentication.logins.cancel_pending()
        if stops_waiting:
            authentication.auth.stop_waiting()
        with move_on_after(CLOSE_SECONDS, shield=True) as bound:
            await authentication.auth.wind_down()
        authentication.end_revocations(bound.deadline)
        self.tasks.close()

    async def _close(self, authentication: Authentication, *, closes_store: bool) -> None:
        from anyio import CancelScope

        if closes_store:
            authentication.store.close()
        if "_http" in self.__dict__:
            with CancelScope(shield=True):  # it closes sockets, and waits for nothing
                await self._http.close()

    @cached_property
    def _http(self) -> Http:
        from appserver.http import Http  # late: brings httpx

        return Http(self._settings)
