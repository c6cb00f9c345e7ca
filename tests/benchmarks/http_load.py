"""Load on HTTP servers that stream answers: as little client as is needed, so that the servers are what is measured."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import anyio

from tests.benchmarks.server import Failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

DELTA = b'"delta":'
"""What stands once in each event that brings text: in chunks of a chat completion, and in events of a response."""

END = b"\r\n0\r\n\r\n"
"""How a body ends that is sent in chunks (RFC 9112, section 7.1)."""

ANSWER_SECONDS = 120.0


class Answer(NamedTuple):
    """How long an answer took, in seconds: to its first delta, and to its end."""

    first: float
    whole: float


class Counter:
    """Counts the deltas of all answers."""

    def __init__(self) -> None:
        self.deltas = 0
        self.streaming = 0
        """Answers of which a delta has come."""


class Request:
    """A request for a streamed answer, ready to be sent to one server."""

    def __init__(self, url: str, path: str, key: str, body: dict[str, object]) -> None:
        where, content = urlsplit(url), json.dumps({**body, "stream": True}).encode()
        self.host, self.port = where.hostname or "", where.port or 80
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.bytes = head.encode() + content


class Connection:
    """One connection, kept for one request after the other."""

    def __init__(self, stream: SocketStream, request: Request, counter: Counter) -> None:
        self._stream = stream
        self._request = request
        self._counter = counter

    async def ask(self) -> Answer:
        """Send the request and read the answer to its end. Raises Failed."""
        began, first, tail = time.perf_counter(), 0.0, b""
        await self._stream.send(self._request.bytes)
        with anyio.fail_after(ANSWER_SECONDS):
            head, _, data = (await self._head()).partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise Failed(f"{head.decode('latin-1').splitlines()[0]}: {data[:200]!r}")
            data = b"\r\n" + data
            while True:
                if found := data.count(DELTA) if not tail else (tail[1 - len(DELTA) :] + data).count(DELTA):
                    self._counter.streaming += not first
                    first = first or time.perf_counter() - began
                    self._counter.deltas += found
                tail = (tail + data)[-max(len(END), len(DELTA)) :]
                if tail.endswith(END):
                    return Answer(first, time.perf_counter() - began)
                data = await self._stream.receive()

    async def _head(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._stream.receive()
        return data


@asynccontextmanager
async def connected(request: Request, counter: Counter) -> AsyncIterator[Connection]:
    """Connect to the server that the request is for."""
    async with await anyio.connect_tcp(request.host, request.port) as stream:
        yield Connection(stream, request, counter)
