"""Requests to the issuer, nothing else: code exchange, refresh, revocation, the two of device login.

Owns their shapes, their bounds, and the checks on what comes back. Knows no store, no browser and no pace: it
asks once; when to ask again is the caller's to know. Tokens, codes and verifiers travel in bodies only, never
in a URL, an error text or a log record. Brings httpx with it, so import it late.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import httpx

from appserver.errors import ConfigError, LoginError, RefreshError
from appserver.http import describe, error_code
from appserver.log import warn
from protocol.base import Secret

if TYPE_CHECKING:
    from appserver.http import Http
    from appserver.session import Session
    from appserver.settings import Settings

REQUEST_SECONDS: Final = 45.0
"""For one whole request. Http bounds the silence between two bytes; this, an answer that only trickles."""

API_KEY_SECONDS: Final = 10.0
"""For the optional API key: the user is looking at a browser that waits for it."""

REVOKE_SECONDS: Final = 5.0
"""For revoking a token: a logout must not feel broken because the issuer is slow."""

DEFAULT_INTERVAL_SECONDS: Final = 5.0
"""Between two polls where the issuer names no interval (RFC 8628, section 3.2)."""

_ENDED_REFRESH: Final = {
    "refresh_token_expired": "its refresh token has expired",
    "refresh_token_reused": "its refresh token was already used, perhaps by another process",
    "refresh_token_invalidated": "its refresh token was revoked",
}
_ENDED_DEVICE: Final = {
    "expired_token": "The device code has expired (expired_token). Start a new login",
    "access_denied": "The login was denied in the browser (access_denied)",
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


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device login that has begun: the user types `user_code` at `verification_url`."""

    device_auth_id: Secret
    user_code: str = field(repr=False)
    interval_seconds: float
    verification_url: str


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """The user agreed: this can be exchanged for tokens. The issuer made the verifier itself."""

    code: Secret
    verifier: Secret
    challenge: str | None


class PollAgain(Enum):
    """The user has not decided yet. The value says when to ask again."""

    PENDING = "after the same interval"
    SLOW_DOWN = "after a longer interval"


DeviceAnswer: TypeAlias = DeviceGrant | PollAgain


class TransientLoginError(LoginError):
    """The issuer could not be asked this time. `status`: of its answer, None if there was none at all."""

    retryable = True

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class OAuthClient:
    """Asks the issuer, once for each call: no method retries."""

    def __init__(self, http: Http, settings: Settings, session: Session) -> None:
        self._http = http
        self._settings = settings
        self._session = session
        self._device_url = f"{settings.issuer}/api/accounts/deviceauth"

    async def exchange_code(self, code: str, verifier: Secret, redirect_uri: str) -> IssuedTokens:
        """Exchange an authorization code for tokens (RFC 6749, section 4.1.3; RFC 7636, section 4.5).

        Raises LoginError. The id token and the access token are there in what is returned.
        """
        form = {
            "grant_type": "authorization_code",
            "client_id": self._settings.client_id,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.reveal(),
        }
        try:
            return _tokens(await self._post_form(form, REQUEST_SECONDS), "id_token", "access_token")
        except _Failure as exc:
            raise LoginError(f"The login could not be completed: {exc}") from None

    async def exchange_api_key(self, id_token: Secret) -> Secret | None:
        """Ask for an API key in the user's name (RFC 8693). None: there is none to be had; it is optional."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "client_id": self._settings.client_id,
            "requested_token": "openai-api-key",
            "subject_token": id_token.reveal(),
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        }
        try:
            return _optional(await self._post_form(form, API_KEY_SECONDS), "access_token")
        except _Failure:
            return None

    async def refresh(self, refresh_token: Secret) -> IssuedTokens:
        """Redeem a refresh token, which is then spent (RFC 6749, section 6). What is None stays as it was.

        Raises RefreshError: permanent where the issuer will never take this token again.
        """
        params = {
            "client_id": self._settings.client_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
        }
        try:
            return _tokens(await self._post_json(self._settings.token_url, params))
        except _Failure as exc:
            raise _refresh_error(exc) from None

    async def revoke(self, token: Secret, hint: str) -> None:
        """Ask the issuer to forget a token (RFC 7009). Best effort: what goes wrong is logged, not raised."""
        params = {"token": token.reveal(), "token_type_hint": hint, "client_id": self._settings.client_id}
        try:
            await self._post_json(self._settings.revoke_url, params, REVOKE_SECONDS)
        except _Failure as exc:
            warn(f"a token was not revoked: {exc}")

    async def request_user_code(self) -> DeviceCode:
        """Begin a device login (RFC 8628, section 3.1). Raises LoginError."""
        try:
            body = await self._post_json(f"{self._device_url}/usercode", {"client_id": self._settings.client_id})
            device_auth_id = _required(body, "device_auth_id")
            user_code = _required(body, "user_code", "usercode")
        except _Failure as exc:
            raise self._device_refusal(exc) from None
        url = f"{self._settings.issuer}/codex/device"
        return DeviceCode(device_auth_id, user_code.reveal(), _interval(body), url)

    async def poll_device(self, device: DeviceCode) -> DeviceAnswer:
        """Ask once whether the user has agreed (RFC 8628, sections 3.4 and 3.5; 403 and 404 mean not yet).

        Raises TransientLoginError where asking again may help, and LoginError where the login is over.
        """
        params = {"device_auth_id": device.device_auth_id.reveal(), "user_code": device.user_code}
        try:
            body = await self._post_json(f"{self._device_url}/token", params)
            code, verifier = _required(body, "authorization_code"), _required(body, "code_verifier")
            challenge = _optional(body, "code_challenge")
        except _Failure as exc:
            return _poll_again(exc)
        return DeviceGrant(code, verifier, challenge.reveal() if challenge else None)

    def _device_refusal(self, failure: _Failure) -> LoginError:
        if failure.status != httpx.codes.NOT_FOUND:
            return LoginError(f"The device login could not be started: {failure}")
        return LoginError(
            f"Device code login is not enabled for this issuer or workspace ({self._settings.issuer}). "
            'Sign in with a browser instead (login type "chatgpt")'
        )

    async def _post_form(self, form: dict[str, str], seconds: float) -> object:
        return await self._post(f"{self._settings.issuer}/oauth/token", seconds, data=form)

    async def _post_json(self, url: str, params: dict[str, str], seconds: float = REQUEST_SECONDS) -> object:
        headers = {"originator": self._session.originator, "User-Agent": self._session.user_agent}
        return await self._post(url, seconds, json=params, headers=headers)

    async def _post(self, url: str, seconds: float, **content: Any) -> object:  # noqa: ANN401 - httpx's arguments
        """Return the JSON of a 2xx answer, None if it is none. Raises _Failure in all other cases."""
        try:
            with anyio.fail_after(seconds):
                response = await self._http.client(url).post(url, **content)
        except httpx.HTTPError as exc:
            raise _Failure(describe(exc, url)) from None
        except httpx.InvalidURL:
            raise _Failure("the configured URL is not valid") from None
        except TimeoutError:
            raise _Failure(f"no complete answer within {seconds:g} s") from None
        except ConfigError as exc:  # of the CA file
            raise _Failure(exc.message) from None
        if response.is_success:
            return _json(response)
        code = _code(_json(response))
        raise _Failure(
            f"the issuer answered HTTP {response.status_code}{f', {code}' if code else ''}",
            response.status_code,
            code,
        )


class _Failure(Exception):
    """There is no usable answer. `status` and `code` are those of a refusal, None where there was none."""

    def __init__(self, text: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class _Unusable(_Failure):
    """The answer is not what was agreed. The text names the field, and never its value."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the issuer's answer cannot be used: {problem}")


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError):  # the latter from brackets nested thousands deep
        return None


def _code(body: object) -> str | None:
    """Return the error code, if it looks like one: anything might stand there, what we sent included."""
    code = error_code(body)
    return code if code and re.fullmatch("[a-z_]{1,64}", code) else None


def _tokens(body: object, *required: str) -> IssuedTokens:
    for name in required:
        _required(body, name)
    names = ("id_token", "access_token", "refresh_token")
    tokens = IssuedTokens(*(_optional(body, name) for name in names))
    if not (tokens.id_token or tokens.access_token or tokens.refresh_token):
        raise _Unusable("it holds no token")
    return tokens


def _required(body: object, *names: str) -> Secret:
    for name in names:
        if value := _optional(body, name):
            return value
    raise _Unusable(f"{names[0]} is missing")


def _optional(body: object, name: str) -> Secret | None:
    """Return a string that may be missing (null and "" count as missing), and may be sent in a header.

    RFC 6749, appendix A: tokens and codes are visible ASCII.
    """
    if not isinstance(body, dict):
        raise _Unusable("it is not a JSON object")
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise _Unusable(f"{name} is not a string of visible ASCII")
    return Secret(value)


def _interval(body: object) -> float:
    """Read the seconds between two polls, a string or a number. What is no duration counts as missing."""
    raw = body.get("interval") if isinstance(body, dict) else None
    if isinstance(raw, str | int | float) and re.fullmatch(r"\d{1,6}(\.\d{1,3})?", str(raw).strip(), re.ASCII):
        return float(raw)
    return DEFAULT_INTERVAL_SECONDS


def _refresh_error(failure: _Failure) -> RefreshError:
    if failure.status in (400, 401) and failure.code in _ENDED_REFRESH:
        why = f"{_ENDED_REFRESH[failure.code]} ({failure.code})"
        return RefreshError(f"The login has ended: {why}. Sign in again", permanent=True)
    if failure.status == httpx.codes.UNAUTHORIZED:
        return RefreshError(f"The login has ended: {failure}. Sign in again", permanent=True)
    return RefreshError(f"The login could not be refreshed: {failure}. Try again later, or sign in again")


def _poll_again(failure: _Failure) -> PollAgain:
    """Tell what a poll without a grant means. Raises what poll_device does."""
    status, code = failure.status, failure.code
    if isinstance(failure, _Unusable):
        raise LoginError(f"The device login could not be completed: {failure}") from None
    if status is None or status >= 500:
        raise TransientLoginError(f"The device login could not be checked: {failure}", status) from None
    if code in _ENDED_DEVICE:
        raise LoginError(_ENDED_DEVICE[code]) from None
    if code == "slow_down":
        return PollAgain.SLOW_DOWN
    if code == "authorization_pending" or status in (403, 404):
        return PollAgain.PENDING
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise TransientLoginError(f"The device login could not be checked: {failure}", status) from None
    raise LoginError(f"The issuer ended the device login: {failure}") from None
