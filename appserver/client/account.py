"""Signing in and out."""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar

import anyio

from appserver.client import types
from appserver.client.caller import Caller, Requests
from appserver.client.methods import AsyncAccountMethods
from appserver.client.streams import NotificationStream, wanted
from appserver.client.tokens import Tokens
from protocol.base import Secret

LOGIN_SECONDS: Final = 900.0
"""What `wait` waits unless told otherwise: no login is under way for longer than a device code is good."""


L = TypeVar("L", types.ChatgptLoginResult, types.DeviceCodeLoginResult)


class AccountOwner(Requests, Protocol):
    """What signing in needs of the client."""

    open_streams: set[NotificationStream[Any]]


class AsyncLogin(Caller):
    """A login that waits for the user."""

    def __init__(self, owner: AccountOwner, stream: NotificationStream[types.LoginCompletedNotification]) -> None:
        super().__init__(owner)
        self.login_id = ""
        self._stream = stream

    async def wait(self, *, timeout: float = LOGIN_SECONDS) -> types.LoginCompletedNotification:
        """Wait for the end of the login; `success` and `error` say how it ended. Raises ServerGone, TimeoutError."""
        try:
            with anyio.fail_after(timeout):
                async for note in self._stream:
                    if note.login_id == self.login_id:
                        return note
        except TimeoutError:
            raise TimeoutError(f"the login was not completed within {timeout:g}s") from None
        finally:
            self._stream.close()
        raise AssertionError  # the stream ends by raising

    async def cancel(self) -> types.LoginCancelResult:
        """Give the login up. `wait` returns then, too."""
        return await self._call("account/login/cancel", {"loginId": self.login_id}, types.LoginCancelResult)


class AsyncBrowserLogin(AsyncLogin):
    """A login in a browser: open `auth_url`."""

    auth_url: str = ""


class AsyncDeviceCodeLogin(AsyncLogin):
    """A login with a code: show `user_code` and `verification_url`."""

    user_code: str = ""
    verification_url: str = ""


class AsyncAccount(AsyncAccountMethods):
    """Who is signed in; signing in and out. `server.account`."""

    def __init__(self, owner: AccountOwner) -> None:
        super().__init__(owner)
        self._owner = owner

    async def login_api_key(self, api_key: str | Secret) -> None:
        """Sign in with an API key, which the server stores."""
        key = api_key.reveal() if isinstance(api_key, Secret) else api_key
        await self._call("account/login/start", {"type": "apiKey", "apiKey": key}, None)

    async def login_tokens(
        self,
        access_token: str | Secret | Tokens,
        *,
        id_token: str | Secret | None = None,
        account_id: str | None = None,
        plan_type: str | None = None,
    ) -> None:
        """Sign in with tokens that the application owns: the server keeps them in memory and asks for new ones.

        With `token_provider=` the client does this by itself.
        """
        tokens = access_token
        if not isinstance(tokens, Tokens):
            tokens = Tokens(tokens, id_token, account_id, plan_type)
        await self._call("account/login/start", {"type": "chatgptAuthTokens", **tokens.to_wire()}, None)

    async def login_chatgpt(self) -> AsyncBrowserLogin:
        """Begin a login in a browser on this machine; open its `auth_url`."""
        login = AsyncBrowserLogin(self._owner, self._completions())
        started = await self._start(login, "chatgpt", types.ChatgptLoginResult)
        login.auth_url = started.auth_url
        return login

    async def login_device_code(self) -> AsyncDeviceCodeLogin:
        """Begin a login with a code that the user types on any device; show its `user_code` and `verification_url`."""
        login = AsyncDeviceCodeLogin(self._owner, self._completions())
        started = await self._start(login, "chatgptDeviceCode", types.DeviceCodeLoginResult)
        login.user_code, login.verification_url = started.user_code, started.verification_url
        return login

    async def _start(self, login: AsyncLogin, kind: str, result: type[L]) -> L:
        login._stream.open()  # first: it may be completed before its id is read
        try:
            started = await self._call("account/login/start", {"type": kind}, result)
        except BaseException:
            login._stream.close()
            raise
        login.login_id = started.login_id
        return started

    def _completions(self) -> NotificationStream[types.LoginCompletedNotification]:
        return NotificationStream(self._owner.open_streams, wanted((types.LoginCompletedNotification,), None))
