"""The refresher of managed ChatGPT logins: redeems the refresh token at the issuer (RFC 6749, section 6).

A refresh token is single-use. This module redeems it once and returns what came of it; that no process redeems it twice
is the work of `redemption`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.auth.credentials import ManagedTokens
from appserver.auth.refresh.base import NO_REFRESH_TOKEN, RefreshedTokens
from appserver.errors import RefreshError

if TYPE_CHECKING:
    from appserver.auth.oauth.tokens import TokenClient
    from appserver.auth.refresh.base import RefreshRequest


class OAuthRefresher:
    """Asks the issuer."""

    def __init__(self, client: TokenClient) -> None:
        self._client = client

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens. Raises RefreshError."""
        credential = request.credential
        if not isinstance(credential, ManagedTokens) or credential.refresh_token is None:
            raise RefreshError(NO_REFRESH_TOKEN, permanent=True)
        issued = await self._client.refresh(credential.refresh_token)
        return RefreshedTokens(issued.access_token, issued.id_token, issued.refresh_token)
