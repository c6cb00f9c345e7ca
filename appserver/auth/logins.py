"""The login that is under way: at most one, each with an id, and exactly one end.

Owns waiting and cancelling. How a flow gets its tokens is the flow's work, whether they may be used the manager's,
and what the parent is told is behind a callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import AppServerError, RequestError
from appserver.log import log_exception
from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio import Event

    from appserver.tasks import Tasks

NOT_COMPLETED = "Login server error: Login was not completed"
"""The reference's words for a login that was cancelled."""


class _Login:
    def __init__(self, login_id: str, finish: Callable[[], Awaitable[None]], ended: Event) -> None:
        self.id = login_id
        self.finish = finish
        self.stop = Stop()
        self.ended = ended
        self.error: str | None = NOT_COMPLETED


class Logins:
    """Runs one login at a time; a new one supersedes the old."""

    def __init__(self, tasks: Tasks, completed: Callable[[str, str | None], None]) -> None:
        self._tasks = tasks
        self._completed = completed
        self._pending: _Login | None = None

    def begin(self, finish: Callable[[], Awaitable[None]]) -> str:
        """Run `finish`, which signs the user in or raises, in the background and return the login's id.

        `completed(id, error)` is called once it has ended; error None means success.
        """
        import uuid  # late, both: cancel_pending() is called before the event loop runs

        from anyio import Event

        self.cancel_pending()
        login = _Login(str(uuid.uuid4()), finish, Event())
        self._pending = login
        self._tasks.start(self._run, login)
        return login.id

    def cancel(self, login_id: str) -> bool:
        """Cancel a login. Returns False if that one is not under way. Raises RequestError if it is no login id."""
        import uuid

        try:
            uuid.UUID(login_id)
        except ValueError:
            raise RequestError(f"invalid login id: {login_id}") from None
        if self._pending is None or self._pending.id != login_id:
            return False
        self.cancel_pending()
        return True

    def cancel_pending(self) -> None:
        """Cancel the login that is under way, if there is one."""
        if self._pending is not None:
            self._pending.stop.cancel()
            self._pending = None

    async def supersede(self) -> None:
        """Cancel the login that is under way and wait until it has let go of its port."""
        if (pending := self._pending) is not None:
            self.cancel_pending()
            await pending.ended.wait()

    async def _run(self, login: _Login) -> None:
        try:
            with login.stop:
                login.error = await _outcome(login.finish)
        finally:
            if self._pending is login:
                self._pending = None
            login.ended.set()
            self._completed(login.id, login.error)


async def _outcome(finish: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await finish()
    except AppServerError as exc:
        return exc.message
    except Exception as exc:  # noqa: BLE001 - the login must end with a notification whatever happens
        log_exception("a login failed unexpectedly", exc)
        return "Login failed unexpectedly"
    return None
