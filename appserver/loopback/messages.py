"""Requests and responses as handlers see them. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


class Disconnect(Exception):
    """Raised by a handler, or inside its body iterator: close the connection, even in the middle of a response."""


@dataclass(frozen=True)
class Request:
    """One request, read completely.

    `path` and `query_string` are as sent, not unquoted. In `query`, the last value of a repeated parameter counts; the
    values of a repeated header are joined by commas (RFC 9110, section 5.3).
    """

    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    query_string: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Response:
    """What a handler answers. A body that is an iterator is sent chunked, every item at once."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = field(default=b"", repr=False)


Handler = Callable[[Request], Awaitable[Response]]
