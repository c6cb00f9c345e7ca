"""The account's credential in requests that httpx sends. Brings httpx with it, so import it late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from appserver.auth.account_info import AccountInfo

Args = TypeVarTuple("Args")
T = TypeVar("T")


class Authorizing(Protocol):
    """What is needed of an account (`account.Account`)."""

    async def read(self) -> AccountInfo: ...

    async def headers(self) -> dict[str, str]: ...

    async def refresh(self, refused: str) -> str: ...

    def from_thread(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T: ...


class AccountAuth(httpx.Auth):
    """Sends the access token, and once more with another one where the answer is 401.

    The account id of a ChatGPT login goes along as `chatgpt-account-id`. Every request of a client that this is given
    to carries the token, so give it only to one that speaks with hosts which may see it.

    With `httpx.AsyncClient` it is used in the account's event loop. With `httpx.Client` it is used in any other thread,
    which waits while the account works in its event loop; in the event loop's own thread it raises RuntimeError,
    because that wait would never end.

    A request raises NotSignedIn where no user is signed in, and RefreshError where another token could not be had. A
    401 is returned as it is where no other token can be had, as for an API key, and where the body of the request is
    an iterator or a file, which cannot be sent again; then the token is refreshed for the next request.
    """

    def __init__(self, account: Authorizing) -> None:
        self._account = account

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize a request of `httpx.AsyncClient`."""
        token = await self._authorize(request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and await self._authorize_again(request, token):
            yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize a request of `httpx.Client`."""
        token = self._account.from_thread(self._authorize, request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._account.from_thread(
            self._authorize_again, request, token
        ):
            yield request

    async def _authorize(self, request: httpx.Request) -> str:
        """Put the credential into the headers, and return the token that it is."""
        return _put(request, await self._account.headers())

    async def _authorize_again(self, request: httpx.Request, refused: str) -> bool:
        """Put another credential into the headers than the one that was refused, and return whether to send it."""
        if not (await self._account.read()).is_renewable:
            return False
        await self._account.refresh(refused)
        _put(request, await self._account.headers())
        return isinstance(request.stream, httpx.ByteStream)


def _put(request: httpx.Request, headers: dict[str, str]) -> str:
    request.headers.update(headers)
    return headers["Authorization"].partition(" ")[2]
