"""What goes wrong -> an error as OpenAI's API has it: status, body, and when to come back.

Of the backend's headers none is passed on: they tell of the quota and the account of whoever signed in.
"""

from __future__ import annotations

import math
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import AppServerError, AuthError, BackendError, Busy, ConfigError, NotSignedIn, RefreshError
from appserver.gateway.invalid import InvalidRequest
from appserver.transport.base import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = 1
"""Seconds after which to try again where nothing else is known."""

_OF_CODE = {
    # codes of a failure inside a stream, which has no status -> the status that says the same
    "context_length_exceeded": 400,
    "cyber_policy": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "invalid_prompt": 400,
    "insufficient_quota": 429,
    "usage_not_included": 429,
    "usage_limit_reached": 429,
    "rate_limit_exceeded": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "server_error": 500,
    "vector_store_timeout": 504,
}

_IMAGE = re.compile(r"image")
"""In the codes of all failures that are an image's fault."""

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Failure(NamedTuple):
    """An error, ready to be told."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None
    """Seconds."""
    resets_at: int | None = None
    """Unix seconds."""
    retryable: bool = True

    @property
    def body(self) -> dict[str, Any]:
        """The error object, in its envelope."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error if self.resets_at is None else {**error, "resets_at": self.resets_at}}

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client whether to try again, and when. `x-should-retry` is read by OpenAI's own clients."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return headers if self.retryable else {**headers, "x-should-retry": "false"}


def failure(
    status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after: int | None = None
) -> Failure:
    """Return an error of our own."""
    return Failure(status, message, _type(status), param, code, retry_after)


def failure_of_ending(ending: Ending) -> Failure:
    """Return what a caller is told whose request is ended by us."""
    if ending is Ending.REVOKED:
        return failure(401, "The API key is not good any more", code="invalid_api_key")
    return failure(503, "The server is shutting down", code="shutting_down", retry_after=SOON)


def failure_of(exc: Exception, now: float, name: Callable[[str | None], str | None] = lambda param: param) -> Failure:
    """Return what a caller is told of an exception.

    `now`: Unix seconds. `name`: the caller's name of a parameter that the backend names.
    """
    match exc:
        case InvalidRequest():
            return failure(400, exc.message, param=exc.param, code=exc.code)
        case BackendError():
            return _of_backend(exc, now, name)
        case NotSignedIn():
            return failure(401, "No model account: this user has not signed in to one", code="credential_missing")
        case RefreshError(permanent=True):
            return failure(401, f"The model account must be signed in again: {exc.message}", code="credential_expired")
        case Busy():
            return failure(503, exc.message, code="busy", retry_after=SOON)
        case AuthError():
            return failure(503, f"The model account: {exc.message}", code="credential_unavailable", retry_after=SOON)
        case ConfigError():
            return failure(500, "The gateway's configuration cannot be used", code="configuration_error")
        case AppServerError():
            return failure(500, exc.message)
        case _:
            return failure(500, "Internal error", code="internal_error")


def _of_backend(exc: BackendError, now: float, name: Callable[[str | None], str | None]) -> Failure:
    status = _status(exc)
    retry_after, resets_at = exc.retry_after, exc.resets_at
    if retry_after is None and resets_at is not None:
        retry_after = resets_at - now
    return Failure(
        status,
        exc.message,
        exc.type or _type(status),
        name(exc.param),
        exc.code or _code(exc, status),
        None if retry_after is None else max(math.ceil(retry_after), 0),
        resets_at,
        exc.retryable or status < HTTPStatus.TOO_MANY_REQUESTS,  # what a client does not try again anyway
    )


def _status(exc: BackendError) -> int:
    """Return the backend's own status. A failure inside a stream has none, and a lost backend is a bad gateway."""
    if exc.status is not None:
        return exc.status if exc.status >= HTTPStatus.BAD_REQUEST else HTTPStatus.BAD_GATEWAY
    if exc.code in _OF_CODE:
        return _OF_CODE[exc.code]
    return HTTPStatus.BAD_REQUEST if exc.code and _IMAGE.search(exc.code) else HTTPStatus.BAD_GATEWAY


def _code(exc: BackendError, status: int) -> str | None:
    if exc.status is None:
        return "stream_failed"
    return "credential_refused" if status == HTTPStatus.UNAUTHORIZED else None


def _type(status: int) -> str:
    default = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return _TYPES.get(status, default)
