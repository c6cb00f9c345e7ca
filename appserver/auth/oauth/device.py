"""What the issuer is asked during a device login (RFC 8628): for a code, and whether the user has agreed.

Owns the shapes of these requests and what their answers mean. Knows no pace: it asks once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from appserver.auth.oauth.http import Failure, Unusable
from appserver.errors import LoginError

if TYPE_CHECKING:
    from appserver.auth.oauth.http import IssuerHttp
    from appserver.settings import Settings
    from protocol.base import Secret

DEFAULT_INTERVAL_SECONDS: Final = 5.0
"""Between two polls where the issuer names no interval (RFC 8628, section 3.2)."""

_ENDED: Final = {
    "expired_token": "The device code has expired (expired_token). Start a new login",
    "access_denied": "The login was denied in the browser (access_denied)",
}


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device login that has begun: the user types `user_code` at `verification_url`."""

    device_auth_id: Secret
    user_code: Secret
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


class DeviceClient:
    """Asks for device codes and their grants."""

    def __init__(self, http: IssuerHttp, settings: Settings) -> None:
        self._http = http
        self._settings = settings
        self._url = f"{settings.issuer}/api/accounts/deviceauth"

    async def request_user_code(self) -> DeviceCode:
        """Begin a device login (RFC 8628, section 3.1). Raises LoginError."""
        try:
            answer = await self._http.post_json(f"{self._url}/usercode", {"client_id": self._settings.client_id})
            device_auth_id = answer.required("device_auth_id")
            user_code = answer.required("user_code", "usercode")
        except Failure as exc:
            raise self._refusal(exc) from None
        url = f"{self._settings.issuer}/codex/device"
        return DeviceCode(device_auth_id, user_code, _interval(answer.member("interval")), url)

    async def poll_device(self, device: DeviceCode) -> DeviceAnswer:
        """Ask once whether the user has agreed (RFC 8628, sections 3.4 and 3.5; 403 and 404 mean not yet).

        Raises TransientLoginError where asking again may help, and LoginError where the login is over.
        """
        params = {"device_auth_id": device.device_auth_id, "user_code": device.user_code}
        try:
            answer = await self._http.post_json(f"{self._url}/token", params)
            code, verifier = answer.required("authorization_code"), answer.required("code_verifier")
            challenge = answer.optional("code_challenge")
        except Failure as exc:
            return _poll_again(exc)
        return DeviceGrant(code, verifier, challenge.reveal() if challenge else None)

    def _refusal(self, failure: Failure) -> LoginError:
        if failure.status != httpx.codes.NOT_FOUND:
            return LoginError(f"The device login could not be started: {failure}")
        return LoginError(
            f"Device code login is not enabled for this issuer or workspace ({self._settings.issuer}). "
            'Sign in with a browser instead (login type "chatgpt")'
        )


def _interval(raw: object) -> float:
    """Read the seconds between two polls, a string or a number. What is no duration counts as missing."""
    if isinstance(raw, str | int | float) and re.fullmatch(r"\d{1,6}(\.\d{1,3})?", str(raw).strip(), re.ASCII):
        return float(raw)
    return DEFAULT_INTERVAL_SECONDS


def _poll_again(failure: Failure) -> PollAgain:
    """Tell what a poll without a grant means. Raises what poll_device does."""
    status, code = failure.status, failure.code
    if isinstance(failure, Unusable):
        raise LoginError(f"The device login could not be completed: {failure}") from None
    if status is None or status >= 500:
        raise TransientLoginError(f"The device login could not be checked: {failure}", status) from None
    if code in _ENDED:
        raise LoginError(_ENDED[code]) from None
    if code == "slow_down":
        return PollAgain.SLOW_DOWN
    if code == "authorization_pending" or status in (403, 404):
        return PollAgain.PENDING
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise TransientLoginError(f"The device login could not be checked: {failure}", status) from None
    raise LoginError(f"The issuer ended the device login: {failure}") from None
