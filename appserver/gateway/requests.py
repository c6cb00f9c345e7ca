"""What every request of the API passes first: who calls, whether it may, and its body within bounds."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import ClientDisconnect

from appserver import json_text
from appserver.gateway.estimate import estimated
from appserver.gateway.failures import Failure, failure
from appserver.gateway.metering import Limited
from appserver.http import write_timeout
from protocol.base import Secret

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from appserver.gateway.metering import Metering, Reservation
    from appserver.gateway.users import Caller, Users

MAX_KEY_CHARACTERS = 4096
"""A longer key is nobody's, and need not be hashed."""


class Refused(Exception):
    """The request is answered with this failure."""

    def __init__(self, told: Failure) -> None:
        super().__init__(told.message)
        self.told = told


def shown_key(request: HTTPConnection) -> Secret | None:
    """Return the key that a request shows: `Authorization: Bearer`, or `X-API-Key`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    return Secret(shown) if shown else None


async def authenticated(request: HTTPConnection, users: Users, scope: str) -> Caller:
    """Return who calls. Raises Refused where it is nobody, or where the key is not for this."""
    key = shown_key(request)
    if key is None:
        raise Refused(failure(401, "No API key: send it as `Authorization: Bearer KEY`", code="missing_api_key"))
    caller = await users.caller(key) if len(key.reveal()) <= MAX_KEY_CHARACTERS else None
    if caller is None:
        raise Refused(failure(401, "Incorrect API key", code="invalid_api_key"))
    if scope not in caller.scopes:
        raise Refused(failure(403, f"The API key lacks the scope `{scope}`", code="insufficient_scope"))
    return caller


async def admitted(caller: Caller, metering: Metering) -> None:
    """Count a request against the limits of its key. Raises Refused."""
    try:
        await metering.admit(caller)
    except Limited as exc:
        raise _beyond(exc) from None


async def reserved(caller: Caller, metering: Metering, body: dict[str, Any]) -> Reservation | None:
    """Take what a request of the Responses API may use from the tokens of its key. Raises Refused."""
    try:
        return None if caller.tpm is None else await metering.reserve(caller, estimated(body, caller.tpm))
    except Limited as exc:
        raise _beyond(exc) from None


async def json_body(request: Request, limit: int) -> Any:  # noqa: ANN401 - JSON
    """Read the body as JSON, no more than `limit` bytes of it. Raises Refused, ClientDisconnect."""
    try:
        return json_text.decode(await read_body(request, limit))
    except ValueError as exc:
        raise Refused(failure(400, f"The body is not JSON: {exc}", code="invalid_json")) from None


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, no more than `limit` bytes of it. Raises Refused, ClientDisconnect."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed"))
    announced = request.headers.get("content-length", "")
    expected = int(announced) if announced.isascii() and announced.isdecimal() and len(announced) < 20 else limit
    if expected > limit:
        raise _too_large(limit)
    body = bytearray()
    with anyio.move_on_after(write_timeout(expected)):
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
        return bytes(body)
    raise Refused(failure(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time"))


def _beyond(exc: Limited) -> Refused:
    return Refused(failure(429, str(exc), code="rate_limit_exceeded", retry_after=exc.retry_after))


def _too_large(limit: int) -> Refused:
    return Refused(failure(413, f"The body is longer than {limit} bytes", code="request_too_large"))


__all__ = [
    "ClientDisconnect",
    "Refused",
    "admitted",
    "authenticated",
    "json_body",
    "read_body",
    "reserved",
    "shown_key",
]
