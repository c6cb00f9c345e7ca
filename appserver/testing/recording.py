"""What the fake backend was asked: every request, in order, with helpers to find and to await them.

Knows HTTP's shapes and nothing of what the paths mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from appserver.testing.signals import WAIT_SECONDS, Signal

if TYPE_CHECKING:
    from appserver.loopback import Request


class MalformedBodyError(ValueError):
    """A request's body is not what its endpoint takes."""


Json = Any  # what a body holds is for the test to say; it indexes into what it expects


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it arrived; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, request: Request) -> RecordedRequest:
        """Make one of the request that the HTTP server has read."""
        return cls(request.method, request.path, request.query, request.headers, request.body)

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`, if there is one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def json(self) -> Json:
        """Return the body as JSON. Raises MalformedBodyError if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise MalformedBodyError("the body is not JSON") from None

    def form(self) -> dict[str, str]:
        """Return the body as an HTML form; bytes that are not UTF-8 are replaced."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))

    def params(self) -> dict[str, Any]:
        """Return the body as its Content-Type says: JSON object or form. Raises MalformedBodyError."""
        if "json" not in self.headers.get("content-type", ""):
            return self.form()
        params = self.json()
        if not isinstance(params, dict):
            raise MalformedBodyError("the body is not a JSON object")
        return params


class RequestLog(list[RecordedRequest]):
    """All requests so far: a list with queries."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[str, int, Signal]] = []

    def record(self, request: RecordedRequest) -> None:
        """Append a request and wake the tests that wait for it. Called by the backend."""
        self.append(request)
        for path, count, signal in list(self._waiting):
            if len(self.to(path)) >= count:
                signal.set()

    def to(self, path: str, method: str | None = None) -> list[RecordedRequest]:
        """Return the requests to this path (exactly, without query), optionally of one method only."""
        return [it for it in list(self) if it.path == path and method in (None, it.method)]

    async def wait_for(self, path: str, count: int = 1, timeout: float = WAIT_SECONDS) -> list[RecordedRequest]:
        """Wait until `count` requests to the path have come; raises TimeoutError after `timeout` seconds."""
        await self._signal(path, count).wait(timeout)
        return self.to(path)

    def wait_for_blocking(self, path: str, count: int = 1, timeout: float = WAIT_SECONDS) -> list[RecordedRequest]:
        """`wait_for` in a thread that runs no event loop."""
        self._signal(path, count).wait_blocking(timeout)
        return self.to(path)

    def _signal(self, path: str, count: int) -> Signal:
        signal = Signal(f"{count} request(s) to {path}")
        self._waiting.append((path, count, signal))  # before looking: what arrives in between must not be missed
        if len(self.to(path)) >= count:
            signal.set()
        return signal
