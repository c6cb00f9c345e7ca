"""The numbers of JSON-RPC errors and what they mean here (JSON-RPC 2.0, section 5.1, and the protocol's own)."""

from __future__ import annotations

from typing import Final

PARSE_ERROR: Final = -32700
"""The line is not JSON."""

INVALID_REQUEST: Final = -32600
"""The message is no request, or the request is refused; the protocol gives all semantic refusals this number."""

METHOD_NOT_FOUND: Final = -32601
"""There is no such method."""

INVALID_PARAMS: Final = -32602
"""The params do not fit the method."""

INTERNAL_ERROR: Final = -32603
"""A fault of ours; the text says nothing more, the log does."""

SERVER_OVERLOADED: Final = -32001
"""Too many requests are in flight; `data.retryAfterMs` says when to come back."""
