"""The refresher of external tokens: asks the client, which owns them, and waits a bounded time.

Knows the request's name and shape; which client is asked is behind a Protocol (`server/subscriptions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from appserver.auth.refresh.base import RefreshedTokens
from appserver.errors import ClientError, ClientTimeout, InvalidParams, RefreshError

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.refresh.base import RefreshRequest
    from protocol.account import AuthTokensRefreshParams

METHOD = "account/chatgptAuthTokens/refresh"


class ClientRequests(Protocol):
    """What is needed of the client."""

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its result. Raises ClientError, ClientTimeout or InvalidParams."""


class ClientRefresher:
    """Asks the client."""

    def __init__(self, client: ClientRequests, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens. Raises RefreshError, with the client's own words if it gave any."""
        params: AuthTokensRefreshParams = {
            "reason": "unauthorized",
            "previousAccountId": request.credential.account_id,
        }
        try:
            result = await self._client.request(
                METHOD, params, timeout=self._timeout, late=lambda result: request.late(_tokens(result))
            )
        except ClientTimeout:
            raise RefreshError(f"auth refresh request timed out after {self._timeout:g}s") from None
        except (ClientError, InvalidParams) as exc:
            raise RefreshError(
                f"auth refresh request failed: {exc.message.removeprefix(f'{METHOD} failed: ')}"
            ) from None
        return _tokens(result)


def _tokens(result: dict[str, Any]) -> RefreshedTokens:
    return RefreshedTokens(
        access_token=result["accessToken"],
        id_token=result.get("idToken"),
        account_id=result.get("chatgptAccountId"),
        plan=result.get("chatgptPlanType"),
    )
