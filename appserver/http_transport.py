"""Connections to HTTP servers, as httpx wants them: kept after an answer for the next request to the same server.

The time for a request does not depend on how many responses are in progress; httpcore's pool searches all connections
at the beginning and the end of each. Their number is not capped, so no request waits for one. Proxies are left to
httpx.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import httpcore
import httpx

from appserver.http_sockets import Sockets

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

SCHEMES = (b"http", b"https")
DEFAULT_PORT = 80
MAX_PORT = 65535

REPEATABLE = "repeatable"
"""The extension of a request that may be sent twice: it does no harm if the server has handled it already."""

CLOSED_MEANWHILE = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
"""The errors, before any byte of a response, that mean that the server has closed a kept connection."""


class Transport(httpx.AsyncBaseTransport):
    """Sends requests without a proxy."""

    def __init__(self, context: ssl.SSLContext | None, max_idle: int, idle_seconds: float) -> None:
        """`max_idle`: connections that are kept, for `idle_seconds` at the most."""
        self._context = context
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._sockets = Sockets()
        self._open: set[httpcore.AsyncHTTPConnection] = set()
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer with the body unread. Raises httpx.TransportError.

        A server may close a connection in the moment in which it is used again (RFC 9112, section 9.5). A request with
        the extension REPEATABLE is sent once more then, over a new one.
        """
        outgoing = _outgoing(request)
        connection = await self._kept(outgoing.url.origin)
        with _raised_by_httpx():
            if connection is None:
                connection = self._new(outgoing.url.origin)
                response = await self._answer(connection, outgoing)
            else:
                try:
                    response = await self._answer(connection, outgoing)
                except CLOSED_MEANWHILE:
                    if not request.extensions.get(REPEATABLE):
                        raise
                    connection = self._new(outgoing.url.origin)
                    response = await self._answer(connection, outgoing)
        body = _Body(self, connection, response)
        return httpx.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    async def release(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection whose answer has been read, or close it."""
        if connection.is_idle():
            self._idle.append(connection)
            if len(self._idle) > self._max_idle:
                await self._close(self._idle.pop(0))
        else:
            await self._close(connection)

    async def aclose(self) -> None:
        for connection in list(self._open):
            await self._close(connection)
        self._idle.clear()

    async def _answer(self, connection: httpcore.AsyncHTTPConnection, request: httpcore.Request) -> httpcore.Response:
        try:
            return await connection.handle_async_request(request)
        except BaseException:
            self._open.discard(connection)  # it has been closed
            raise

    async def _kept(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection | None:
        """Return the connection that was used last, of those to this server that are good, or None."""
        for connection in [one for one in reversed(self._idle) if one.can_handle_request(origin)]:
            self._idle.remove(connection)
            if not connection.has_expired():
                return connection
            await self._close(connection)
        return None

    def _new(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        connection = httpcore.AsyncHTTPConnection(
            origin, self._context, keepalive_expiry=self._idle_seconds, network_backend=self._sockets
        )
        self._open.add(connection)
        return connection

    async def _close(self, connection: httpcore.AsyncHTTPConnection) -> None:
        self._open.discard(connection)
        await connection.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, and the connection that it comes over."""

    def __init__(
        self, transport: Transport, connection: httpcore.AsyncHTTPConnection, response: httpcore.Response
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._response = response
        assert isinstance(response.stream, AsyncIterable)  # noqa: S101 - as that of every asynchronous connection
        self._stream = response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _raised_by_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), _raised_by_httpx():  # does not wait; half done, it would leave a socket
            try:
                await self._response.aclose()
            finally:
                await self._transport.release(self._connection)


def _outgoing(request: httpx.Request) -> httpcore.Request:
    url = request.url
    if url.raw_scheme not in SCHEMES:
        raise httpx.UnsupportedProtocol(f"not HTTP: {url.scheme}")
    if not url.host or not 0 < (url.port or DEFAULT_PORT) <= MAX_PORT:
        raise httpx.InvalidURL("no such host or port")
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


@contextmanager
def _raised_by_httpx() -> Iterator[None]:
    """Raise httpx's exception of the same name for one of httpcore."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc
