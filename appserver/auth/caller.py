"""The program that this is a library of, as the owner of an account (`authentication.Owner`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from appserver.auth.refresh.function import NoRefresher
from appserver.errors import LoginError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.auth.login.handles import PendingLogin
    from appserver.auth.refresh.base import Refresher
    from appserver.session import Session


class Caller:
    """Holds what the program has passed: its name, the refresher of its tokens, and who waits for a login."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.refresher: Refresher | None = None
        """Of the external tokens in use."""
        self._logins: dict[str, PendingLogin] = {}

    @contextmanager
    def expecting(self, login_id: str, pending: PendingLogin) -> Iterator[None]:
        """Hand the end of a login to `pending`, unless its start fails. Raises LoginError if it is superseded."""
        self._logins[login_id] = pending
        try:
            yield
        except BaseException as exc:
            del self._logins[login_id]
            if isinstance(exc, RequestError):
                raise LoginError(exc.message) from None
            raise

    def external_refresher(self, configured: Refresher | None) -> Refresher:
        """Return the refresher that was passed with the tokens, else the configured one."""
        return self.refresher or configured or NoRefresher()

    def observed(self, refresher: Refresher) -> Refresher:
        return refresher

    def tell(self) -> None:
        """Do nothing: the program reads the account when it wants to know."""

    def tell_login(self, login_id: str | None, error: str | None) -> None:
        """Tell the one that waits for it how a login has ended."""
        if login_id is not None and (pending := self._logins.pop(login_id, None)) is not None:
            pending.end(error)
