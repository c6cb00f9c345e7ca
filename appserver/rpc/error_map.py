"""The one place where an exception becomes a JSON-RPC error.

The project's own errors are sent with their message. Any other exception is sent as "Internal error" and logged with
its traceback.
"""

from __future__ import annotations

from typing import NamedTuple

from appserver import errors
from appserver.log import log_exception
from protocol import error_codes


class WireError(NamedTuple):
    """The members of a JSON-RPC error object."""

    code: int
    message: str
    data: object = None


def wire_error(exc: Exception) -> WireError:
    """Translate an exception. Of a group, the first error of ours counts; the others are logged."""
    first, *others = errors.causes_of(exc)
    for other in others:
        log_exception("another error while answering a request", other)
    return _translated(first)


def _translated(exc: Exception) -> WireError:
    match exc:
        case errors.MethodNotFound():
            return WireError(error_codes.METHOD_NOT_FOUND, exc.message)
        case errors.InvalidParams():
            return WireError(error_codes.INVALID_PARAMS, exc.message)
        case errors.RequestError():
            return WireError(error_codes.INVALID_REQUEST, exc.message, exc.data)
        case errors.ForwardedError():
            return WireError(exc.code, exc.message, exc.data)
        case errors.Overloaded():
            data = {"codex_error_info": "server_overloaded", "retryAfterMs": exc.retry_after_ms}
            return WireError(error_codes.SERVER_OVERLOADED, exc.message, data)
        case errors.ThreadStoreError():
            return WireError(error_codes.INTERNAL_ERROR, exc.message, {"kind": exc.kind})
        case errors.StoreError() | errors.StoreBusy():
            return WireError(error_codes.INTERNAL_ERROR, exc.message)
        case errors.AuthError():
            return WireError(error_codes.INVALID_REQUEST, exc.message)
        case errors.AppServerError():
            return WireError(error_codes.INTERNAL_ERROR, exc.message)
        case _:
            return _unexpected(exc)


def _unexpected(exc: Exception) -> WireError:
    log_exception("unexpected error while answering a request", exc)
    return WireError(error_codes.INTERNAL_ERROR, "Internal error")
