"""Lines to messages, and messages to lines (RFC 8259, one text a line)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from appserver import json_text
from appserver.log import log_exception
from protocol import envelope, error_codes

if TYPE_CHECKING:
    from protocol.envelope import Message, RequestId

# Only where nothing but simple members stands before it: an "id" inside the params may be the id of another request.
_ID_IN_HEAD = (
    rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*'
    rb'"id"\s*:\s*(-?\d{1,18}|"(?:[^"\\]|\\.){0,200}")\s*[,}]'
)


def decode(line: bytes) -> object:
    """Decode a line. Raises ValueError with a text that does not repeat the input."""
    try:
        return json_text.decode(line.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 at byte {exc.start}") from None


def encode(message: Message) -> bytes | None:
    """Encode a message, without a line end. Never raises: a fault of ours must not cost more than this one message.

    A response that cannot be encoded becomes an internal error, anything else None. Both are logged.
    """
    try:
        return json_text.encode(message).encode("ascii")
    except Exception as exc:  # noqa: BLE001 - a value may have any fault; what it is stands in the log
        log_exception("a message could not be encoded", exc)
    return None if "method" in message else _failure(message)


def encode_response(response: Message) -> bytes:
    """Encode a response, as `encode` does."""
    return encode(response) or _failure(response)


def _failure(response: Message) -> bytes:
    """Encode the internal error that takes the place of a response."""
    envelope_only = {name: value for name, value in response.items() if name not in ("result", "error")}
    error = envelope.error(response["id"], error_codes.INTERNAL_ERROR, "Internal error")
    return json_text.encode({**envelope_only, **error}).encode("ascii")


def id_in_head(head: bytes) -> RequestId | None:
    """Read the id from the beginning of a line that cannot be decoded as a whole; clients write it first."""
    found = re.match(_ID_IN_HEAD, head)
    if found is None:
        return None
    try:
        return envelope.readable_id({"id": decode(found[1])})
    except ValueError:
        return None
