"""What the issuer is asked about tokens: code exchange, API key, refresh, revocation.

Owns the shapes of these requests and what their failures mean. Knows no store and no browser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from appserver.auth.oauth.http import Failure, Unusable
from appserver.errors import LoginError, RefreshError
from appserver.log import warn

if TYPE_CHECKING:
    from appserver.auth.oauth.http import IssuerHttp, IssuerResponse, Params
    from appserver.settings import Settings
    from protocol.base import Secret

API_KEY_SECONDS: Final = 10.0
"""For the optional API key: the user is looking at a browser that waits for it."""

REVOKE_SECONDS: Final = 3.0
"""For revoking a token, also while the process ends: a logout must not feel broken because the issuer is slow."""

_ENDED: Final = {
    "refresh_token_expired": "its refresh token has expired",
    "refresh_token_reused": "its refresh token was already used, perhaps by another process",
    "refresh_token_invalidated": "its refresh token was revoked",
}


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What the issuer handed out. None: it was not in the answer."""

    id_token: Secret | None
    access_token: Secret | None
    refresh_token: Secret | None


@dataclass(frozen=True, slots=True)
class LoginGrant:
    """What a finished login gives. Its id token and access token are there; the API key is optional."""

    tokens: IssuedTokens
    api_key: Secret | None = None


class TokenClient:
    """Asks for tokens, and to forget them."""

    def __init__(self, http: IssuerHttp, settings: Settings) -> None:
        self._http = http
        self._settings = settings
        self._exchange_url = f"{settings.issuer}/oauth/token"  # token_url is for refreshes only

    async def exchange_code(self, code: Secret, verifier: Secret, redirect_uri: str) -> IssuedTokens:
        """Exchange an authorization code for tokens (RFC 6749, section 4.1.3; RFC 7636, section 4.5).

        Raises LoginError. The id token and the access token are there in what is returned.
        """
        form: Params = {
            "grant_type": "authorization_code",
            "client_id": self._settings.client_id,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        try:
            return _tokens(await self._http.post_form(self._exchange_url, form), "id_token", "access_token")
        except Failure as exc:
            raise LoginError(f"The login could not be completed: {exc}") from None

    async def exchange_api_key(self, id_token: Secret) -> Secret | None:
        """Ask for an API key in the user's name (RFC 8693). None: there is none to be had; it is optional."""
        form: Params = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "client_id": self._settings.client_id,
            "requested_token": "openai-api-key",
            "subject_token": id_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        }
        try:
            answer = await self._http.post_form(self._exchange_url, form, API_KEY_SECONDS)
            return answer.optional("access_token")
        except Failure:
            return None

    async def refresh(self, refresh_token: Secret) -> IssuedTokens:
        """Redeem a refresh token, which is then spent (RFC 6749, section 6). What is None stays as it was.

        Raises RefreshError: permanent where the issuer will never take this token again.
        """
        params: Params = {
            "client_id": self._settings.client_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        try:
            return _tokens(await self._http.post_json(self._settings.token_url, params))
        except Failure as exc:
            raise _refresh_error(exc) from None

    async def revoke(self, token: Secret, hint: str) -> None:
        """Ask the issuer to forget a token (RFC 7009). Best effort: what goes wrong is logged, not raised."""
        params: Params = {"token": token, "token_type_hint": hint, "client_id": self._settings.client_id}
        try:
            await self._http.post_json(self._settings.revoke_url, params, REVOKE_SECONDS)
        except Failure as exc:
            warn(f"a token was not revoked: {exc}")


def _tokens(answer: IssuerResponse, *names: str) -> IssuedTokens:
    """Read the tokens, of which those named must be there. Raises Unusable."""
    for name in names:
        answer.required(name)
    tokens = IssuedTokens(_id_token(answer), answer.optional("access_token"), answer.optional("refresh_token"))
    if not (tokens.id_token or tokens.access_token or tokens.refresh_token):
        raise Unusable("it holds no token")
    return tokens


def _id_token(answer: IssuerResponse) -> Secret | None:
    """Read what a refresh can do without: it must not cost the tokens beside it, which come only once."""
    try:
        return answer.optional("id_token")
    except Unusable:
        return None


def _refresh_error(failure: Failure) -> RefreshError:
    if failure.status in (400, 401) and failure.code in _ENDED:
        why = f"{_ENDED[failure.code]} ({failure.code})"
        return RefreshError(f"The login has ended: {why}. Sign in again", permanent=True)
    if failure.status == httpx.codes.UNAUTHORIZED:
        return RefreshError(f"The login has ended: {failure}. Sign in again", permanent=True)
    return RefreshError(f"The login could not be refreshed: {failure}. Try again later, or sign in again")
