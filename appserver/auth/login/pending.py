"""The login that is under way: at most one, each with an id, and exactly one end.

Owns waiting and cancelling. How a flow gets its tokens is the flow's work, whether they may be used the manager's,
and what the client is told is behind a callable. A login counts from when it is asked for, so another login or a logout
supersedes it also while its flow is still being started.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from appserver.errors import AppServerError, RequestError
from appserver.log import log_exception
from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from anyio import Event

    from appserver.tasks import Tasks

NOT_COMPLETED = "Login was not completed"
BROWSER_NOT_COMPLETED = f"Login server error: {NOT_COMPLETED}"
"""The reference's words for a login that was cancelled, by device code and by browser."""


class _Once:
    """An event that can be made before there is an event loop."""

    def __init__(self) -> None:
        self._happened = False
        self._event: Event | None = None

    def set(self) -> None:
        self._happened = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        from anyio import Event  # late: a login may be made before there is an event loop

        if not self._happened:
            self._event = self._event or Event()
            await self._event.wait()


class Login:
    """One login, from when it was asked for until its end."""

    def __init__(self, login_id: str, *, by_browser: bool) -> None:
        self.id = login_id
        self.stop = Stop()
        self.error: str | None = BROWSER_NOT_COMPLETED if by_browser else NOT_COMPLETED
        self.known = _Once()
        """That the client has been told the id."""
        self.ended = _Once()
        """That it holds nothing any more, a port least of all."""


class Logins:
    """Runs one login at a time; a new one supersedes the old."""

    def __init__(self, tasks: Tasks, completed: Callable[[str, str | None], None]) -> None:
        """`completed(id, error)` is called once each login that ran has ended; error None means success."""
        self._tasks = tasks
        self._completed = completed
        self._pending: Login | None = None
        self._by_browser: list[Login] = []  # those that may hold the port, the oldest first

    def begin(self, *, by_browser: bool = False) -> Login:
        """Make a new login the one under way. Its flow is to be started next, then `run`."""
        import uuid  # late: cancel_pending() is called before the event loop runs

        self.cancel_pending()
        login = self._pending = Login(str(uuid.uuid4()), by_browser=by_browser)
        if by_browser:
            self._by_browser.append(login)
        return login

    @contextmanager
    def starting(self, login: Login) -> Iterator[None]:
        """End a login without a word if its flow cannot be started: the client does not know its id yet."""
        try:
            yield
        except BaseException:
            self._end(login)
            raise

    async def port_free(self, login: Login) -> None:
        """Wait until the browser logins before this one have let go of their port.

        Raises RequestError if it has been superseded: its successor waits for the same port.
        """
        for earlier in self._by_browser[: self._by_browser.index(login)]:
            await earlier.ended.wait()
        if login.stop.cancelled:
            raise RequestError(BROWSER_NOT_COMPLETED)

    def run(self, login: Login, finish: Callable[[], Awaitable[None]]) -> None:
        """Run `finish`, which signs the user in or raises, in the background. Its end is told once the id is known.

        It runs at once, because a login that is superseded has to let go of its port: the next one, which may stand in
        the same batch of requests, is answered only then, and the batch after that.
        """
        self._tasks.start(self._run, login, finish)

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

    async def _run(self, login: Login, finish: Callable[[], Awaitable[None]]) -> None:
        try:
            with login.stop:
                login.error = await _outcome(finish)
        finally:
            self._end(login)
            try:
                await login.known.wait()
            finally:
                self._completed(login.id, login.error)

    def _end(self, login: Login) -> None:
        if self._pending is login:
            self._pending = None
        if login in self._by_browser:
            self._by_browser.remove(login)
        login.ended.set()


async def _outcome(finish: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await finish()
    except AppServerError as exc:
        return exc.message
    except Exception as exc:  # noqa: BLE001 - the login must end with a notification whatever happens
        log_exception("a login failed unexpectedly", exc)
        return "Login failed unexpectedly"
    return None
