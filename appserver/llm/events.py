"""Tolerant reading of the Responses API: the meaning of events and failure responses.

Pure. An event of an unknown type passes through; a member of the wrong type counts as missing. Failures become
BackendError with the protocol's codexErrorInfo, told apart by code, not by words.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from appserver import json_text
from appserver.errors import BackendError, Unauthorized
from appserver.llm.members import MAX_NUMBER
from appserver.log import redacted

if TYPE_CHECKING:
    from protocol.thread import TokenUsage

Event: TypeAlias = dict[str, Any]

MAX_TOLD = 500
"""Characters of a backend's own text that an error repeats."""

MAX_SEARCHED = 16 * 1024
"""Characters of it that are redacted before it is cut: a credential that starts in the repeated part ends in these."""

_TRY_AGAIN = re.compile(r"try again in\s*(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)", re.IGNORECASE)
"""Finds the wait in the text of an error inside a stream: there is no header for it."""

_CODES: dict[str, tuple[str, bool]] = {
    # code -> codexErrorInfo, whether a retry can help
    "context_length_exceeded": ("contextWindowExceeded", False),
    "insufficient_quota": ("usageLimitExceeded", False),
    "usage_not_included": ("usageLimitExceeded", False),
    "usage_limit_reached": ("usageLimitExceeded", False),
    "rate_limit_exceeded": ("rateLimitExceeded", True),
    "server_is_overloaded": ("serverOverloaded", True),
    "slow_down": ("serverOverloaded", True),
    "cyber_policy": ("cyberPolicy", False),
}


def decode_event(data: str) -> Event | None:
    """Return an event, or None for what is none ("[DONE]", or no JSON object with a type)."""
    try:
        event = json_text.decode_leniently(data)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def token_usage(event: Event) -> TokenUsage | None:
    """Return the usage that a final event tells, or None."""
    usage = object_in(object_in(event, "response"), "usage")
    if not usage:
        return None
    return {
        "totalTokens": _number(usage, "total_tokens"),
        "inputTokens": _number(usage, "input_tokens"),
        "cachedInputTokens": _number(object_in(usage, "input_tokens_details"), "cached_tokens"),
        "cacheWriteInputTokens": _number(object_in(usage, "input_tokens_details"), "cache_write_tokens"),
        "outputTokens": _number(usage, "output_tokens"),
        "reasoningOutputTokens": _number(object_in(usage, "output_tokens_details"), "reasoning_tokens"),
    }


def for_history(item: Event) -> dict[str, Any]:
    """Return an output item as input of a later request. Its id means nothing to a backend that does not store."""
    return {key: value for key, value in item.items() if key not in ("id", "status")}


def failure_in_stream(event: Event) -> BackendError:
    """Translate a `response.failed`, `response.incomplete` or `error` event."""
    if event["type"] == "response.incomplete":
        reason = object_in(object_in(event, "response"), "incomplete_details").get("reason")
        told = _told(reason) if isinstance(reason, str) else ""
        return BackendError(f"The model's answer is incomplete: {told or 'no reason given'}")
    error = object_in(object_in(event, "response"), "error") or object_in(event, "error") or event
    failure = _coded(error) or BackendError(_message(error) or "The model backend failed", "other", retryable=True)
    return _described(failure, {**error, "type": None} if error is event else error)


def failure_of_answer(status: int, body: bytes) -> BackendError:
    """Translate an HTTP answer that is no stream."""
    error = _error_object(body)
    return _described(_failure_of_answer(status, error, body), error)


def _failure_of_answer(status: int, error: dict[str, Any], body: bytes) -> BackendError:
    told = _message(error) or _told(body.decode("utf-8", "replace").strip())
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(told or "The model backend does not accept the credential")
    coded = _coded(error, status)
    if coded is not None:
        return coded
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return BackendError(told or "Too many requests", "rateLimitExceeded", status=status, retryable=True)
    if status == HTTPStatus.BAD_REQUEST:
        return BackendError(told or "The model backend refused the request", "other", status=status)
    words = f"The model backend answered {status} {_phrase(status)}" + (f": {told}" if told else "")
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return BackendError(words, "internalServerError", status=status, retryable=True)
    info = {"httpConnectionFailed": {"httpStatusCode": status}}
    return BackendError(words, info, status=status, retryable=status > HTTPStatus.INTERNAL_SERVER_ERROR)


def _described(failure: BackendError, error: dict[str, Any]) -> BackendError:
    """Add what an error object says beside its message."""
    failure.type, failure.code, failure.param = (_told_word(error, name) for name in ("type", "code", "param"))
    return failure


def _told_word(error: dict[str, Any], name: str) -> str | None:
    value = error.get(name)
    return _told(value) if isinstance(value, str) and value else None


def stream_cut(detail: str, *, retryable: bool = True) -> BackendError:
    """Return the error for a stream that ended before its final event."""
    info = {"responseStreamDisconnected": {"httpStatusCode": None}}
    return BackendError(f"The stream ended before the answer was complete: {detail}", info, retryable=retryable)


def not_connected(detail: str, *, retryable: bool = True) -> BackendError:
    """Return the error for a backend that could not be reached."""
    info = {"responseStreamConnectionFailed": {"httpStatusCode": None}}
    return BackendError(f"The model backend could not be reached: {detail}", info, retryable=retryable)


def object_in(members: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object, or an empty one: a backend may send anything."""
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def _coded(error: dict[str, Any], status: int | None = None) -> BackendError | None:
    """Translate an error whose code, or type, is known."""
    for code in (error.get("code"), error.get("type")):
        if isinstance(code, str) and code in _CODES:
            info, retryable = _CODES[code]
            words = _message(error) or code
            resets_at = _number(error, "resets_at") if info == "usageLimitExceeded" else 0
            if resets_at:
                words += f" (resets at {_moment(resets_at)})"
            failure = BackendError(words, info, status=status, retryable=retryable)
            failure.resets_at = resets_at or None
            failure.retry_after = _told_wait(words)
            return failure
    return None


def _told_wait(words: str) -> float | None:
    found = _TRY_AGAIN.search(words)
    if found is None:
        return None
    return float(found[1]) / (1000 if found[2].lower() == "ms" else 1)


def _moment(seconds: float) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    error = document.get("error", document)
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}


def _message(error: dict[str, Any]) -> str:
    for name in ("message", "detail"):
        if isinstance(error.get(name), str):
            return _told(error[name])
    return ""


def _told(text: str) -> str:
    """Return the redacted beginning of a backend's text. Cut last: half a credential would not be recognized."""
    return redacted(text[:MAX_SEARCHED])[:MAX_TOLD]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _number(members: dict[str, Any], name: str) -> int:
    value = members.get(name)
    return int(value) if isinstance(value, int | float) and abs(value) <= MAX_NUMBER else 0  # not for NaN either
