"""A login that is under way, as the library hands it out: what to show to the user, and the wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from appserver.errors import LoginError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.auth.account_info import AccountInfo
    from appserver.auth.login.browser import BrowserLogin
    from appserver.auth.login.pending import Login


class PendingLogin:
    """A login that waits for the user. It goes on in the background until it has ended, waited for or not."""

    def __init__(self, login: Login, read: Callable[[], Awaitable[AccountInfo]], cancel: Callable[[], None]) -> None:
        """`read`: returns who is signed in. `cancel`: ends the login if it is still under way."""
        self._login = login
        self._read = read
        self._cancel = cancel
        self._ended = anyio.Event()
        self._error: str | None = None

    async def wait(self) -> AccountInfo:
        """Wait until the user has signed in, and return who is signed in now.

        Raises LoginError if they have not: they refused, took longer than 10 minutes (with a code: 15), the login was
        cancelled, another one has begun meanwhile, or the account was closed. A wait that is cancelled ends no login.
        """
        await self._ended.wait()
        if self._error is not None:
            raise LoginError(self._error)
        return await self._read()

    def cancel(self) -> None:
        """Give the login up: `wait` raises LoginError. Does nothing once it has ended."""
        self._cancel()

    def end(self, error: str | None) -> None:
        """Note that the login has ended. For the account to call."""
        self._error = error
        self._ended.set()


class PendingBrowserLogin(PendingLogin):
    """A login in a browser on this machine: open `auth_url` there."""

    auth_url: str
    _flow: BrowserLogin

    def begin(self, flow: BrowserLogin, auth_url: str) -> None:
        """Note what has begun. For the account to call."""
        self._flow, self.auth_url = flow, auth_url

    async def paste(self, redirect_url: str) -> AccountInfo:
        """Complete the login with the URL on which a browser has ended that could not reach this machine.

        Returns who is signed in now. Raises LoginError; a URL that does not belong to this login changes nothing.
        """
        await self._flow.paste(Secret(redirect_url))
        return await self.wait()


class PendingDeviceLogin(PendingLogin):
    """A login with a code: the user opens `verification_url` on any device and types `user_code` there."""

    verification_url: str
    user_code: str
