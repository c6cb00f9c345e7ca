"""The JSON-RPC envelope: telling requests, notifications and responses apart, and building them.

Pure. Knows ids and members, not methods. `jsonrpc: "2.0"` is optional on the way in; whether it is sent is the
connection's choice (`appserver/rpc/outbox.py`).
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias, TypeGuard

Message: TypeAlias = dict[str, Any]
RequestId: TypeAlias = str | int


class Kind(Enum):
    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"
    INVALID = "invalid"


def is_id(value: object) -> TypeGuard[RequestId]:
    """Whether a value can identify a request: a string or an integer (JSON-RPC 2.0, section 4)."""
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def classify(message: Message) -> Kind:
    """Tell what a JSON object is. A response with a malformed error is still a response: its id says whose."""
    if "method" in message:
        if not isinstance(message["method"], str) or not isinstance(message.get("params"), dict | list | None):
            return Kind.INVALID
        if "id" not in message:
            return Kind.NOTIFICATION
        return Kind.REQUEST if is_id(message["id"]) else Kind.INVALID
    if is_id(message.get("id")) and ("result" in message or "error" in message):
        return Kind.RESPONSE
    return Kind.INVALID


def readable_id(message: object) -> RequestId | None:
    """The id that an error answer can carry, or None where none can be read."""
    if isinstance(message, dict) and is_id(message.get("id")):
        found: RequestId = message["id"]
        return found
    return None


def request(request_id: RequestId, method: str, params: object) -> Message:
    return {"id": request_id, "method": method, "params": params}


def notification(method: str, params: object) -> Message:
    return {"method": method, "params": params}


def result(request_id: RequestId, value: object) -> Message:
    return {"id": request_id, "result": value}


def error(request_id: RequestId | None, code: int, message: str, data: object = None) -> Message:
    """Build the response to a request that failed. The id is null where none could be read."""
    body: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return {"id": request_id, "error": body}
