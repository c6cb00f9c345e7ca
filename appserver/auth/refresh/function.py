"""The refresher of external tokens in a library: a coroutine function of the program's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from appserver.auth.refresh.base import RefreshedTokens, RefreshRequest
from appserver.errors import AuthError, RefreshError
from appserver.log import redacted
from protocol.base import Secret

RefreshFunction = Callable[[RefreshRequest], Awaitable[RefreshedTokens | str]]
"""Returns another access token for the credential in the request, or `RefreshedTokens`."""


class FunctionRefresher:
    """Calls a function, which returns an access token or `RefreshedTokens`."""

    def __init__(self, function: RefreshFunction) -> None:
        self._function = function

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens. Raises RefreshError, with the words of what the function raises."""
        try:
            answer = await self._function(request)
        except AuthError:
            raise
        except Exception as exc:  # noqa: BLE001 - a foreign function may raise anything
            raise RefreshError(f"The refresher failed: {type(exc).__name__}: {redacted(str(exc))}") from None
        return RefreshedTokens(access_token=Secret(answer)) if isinstance(answer, str) else answer


class NoRefresher:
    """Stands where the caller has supplied tokens and nothing to refresh them with."""

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Raise RefreshError."""
        raise RefreshError("The tokens are no longer accepted, and no refresher was passed with them", permanent=True)
