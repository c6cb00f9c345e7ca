"""A minimal HTTP/1.1 server for 127.0.0.1, on h11 and anyio: the login callback and the fake backend use it.

Owns sockets, parsing, keep-alive, and the bounds on each. It must not know what it serves. Query strings and
bodies hold authorization codes and tokens: nothing here logs them, echoes them, or shows them in a repr.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import anyio
import h11
from anyio.abc import SocketAttribute, SocketListener, SocketStream

HOST: Final = "127.0.0.1"
BACKLOG: Final = 1024
MAX_CONNECTIONS: Final = 1024  # served at once; later clients wait in the backlog
MAX_BODY_BYTES: Final = 64 * 1024 * 1024  # turns carry pictures; beyond this it is a mistake: 413
IDLE_SECONDS: Final = 60.0  # for a whole request to arrive, first byte to last, and between requests
SEND_SECONDS: Final = 30.0  # for a client to take what one write sends
LINGER_SECONDS: Final = 1.0  # for a refused client to stop sending, so that it can read why
CLEANUP_SECONDS: Final = 5.0  # for a body iterator to finish after its connection has ended
ACCEPT_RETRY_SECONDS: Final = 0.1  # after a failed accept (out of descriptors), so as not to spin

_BODILESS: Final = frozenset({204, 304})  # RFC 9110, 6.4.1
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_GONE: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
_logger = logging.getLogger(__name__)


class Disconnect(Exception):
    """Raised by a handler, or inside its body iterator: end the connection here, answer or not."""


@dataclass(frozen=True)
class Request:
    """One request, read completely.

    `path` is as sent, not unquoted. Of a repeated query parameter the last value counts; the values of a
    repeated header are joined by commas (RFC 9110, 5.3).
    """

    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Response:
    """What a handler answers. A body that is an iterator is sent chunked, every item at once."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = field(default=b"", repr=False)


Handler = Callable[[Request], Awaitable[Response]]


def bind(port: int, host: str = HOST) -> socket.socket:
    """Listen on 127.0.0.1, or on ::1; port 0 takes any free one. Raises OSError as the system reports it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR there lets another process take over a port in use.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Else connections in TIME_WAIT keep the port from us for a minute after a restart.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve(listener: socket.socket, handler: Handler) -> None:
    """Serve until cancelled. The socket is ours from here on, and closed at the end.

    A body iterator is cancelled when its client hangs up (closing its sending side counts as that); a handler
    is not: what it has begun, it finishes.
    """
    try:
        async with await SocketListener.from_socket(listener) as server, anyio.create_task_group() as tasks:
            slots = anyio.Semaphore(MAX_CONNECTIONS)
            while True:
                await slots.acquire()
                tasks.start_soon(_serve_client, await _accept(server), handler, slots)
    finally:
        listener.close()


async def _accept(server: SocketListener) -> SocketStream:
    while True:
        try:
            return await server.accept()
        except OSError as error:
            # A client that has left already, or no descriptor to spare: both pass. A lost listener does not.
            if error.errno in (errno.EBADF, errno.ENOTSOCK):
                raise
            _logger.warning("loopback: accept failed: %s", error.strerror)
            await anyio.sleep(ACCEPT_RETRY_SECONDS)


async def _serve_client(stream: SocketStream, handler: Handler, slots: anyio.Semaphore) -> None:
    try:
        async with stream:
            _send_at_once(stream)
            await _Connection(stream, handler).run()
    except Exception:
        _logger.exception("loopback: a connection failed")  # this client's loss, nobody else's
    finally:
        slots.release()


def _send_at_once(stream: SocketStream) -> None:
    """Without TCP_NODELAY a small item of a body waits for the acknowledgement of the one before."""
    raw: socket.socket = stream.extra_attributes[SocketAttribute.raw_socket]()
    with suppress(OSError):  # the client has left already; reading will tell
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Connection:
    """One client: request, answer, and again."""

    def __init__(self, stream: SocketStream, handler: Handler) -> None:
        self._stream = stream
        self._handler = handler
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        try:
            while (request := await self._receive()) is not None:
                await self._respond(request, await self._handle(request))
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
        except h11.LocalProtocolError:
            # Without the exception: its text quotes the header that it refuses.
            _logger.error("loopback: the handler's response is not valid HTTP")
        except Disconnect:
            return

    async def _receive(self) -> Request | None:
        """Read the next request; None when the client has no more, or takes too long."""
        with anyio.move_on_after(IDLE_SECONDS):
            head = await self._next_event()
            if isinstance(head, h11.Request):
                if head.method == b"CONNECT":  # asks for a tunnel (RFC 9110, section 9.3.6); there is none here
                    raise h11.RemoteProtocolError("CONNECT is not served", error_status_hint=501)
                return _request(head, await self._receive_body(head))
        return None

    async def _receive_body(self, head: h11.Request) -> bytes:
        _check_size(next((int(value) for name, value in head.headers if name == b"content-length"), 0))
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            _check_size(len(body))
        return bytes(body)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                data = await self._stream.receive()
            except _GONE:
                data = b""  # how h11 learns of the end
            self._http.receive_data(data)
        return event

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except Disconnect:
            raise
        except Exception:
            _logger.exception("loopback: the handler failed: %s %s", request.method, request.path)
            return Response(500, _TEXT, _phrase(500))

    async def _respond(self, request: Request, response: Response) -> None:
        events: list[h11.Event] = [_head(response)]
        body = b"" if request.method == "HEAD" or response.status in _BODILESS else response.body
        if not isinstance(body, bytes):
            await self._send(*events)
            await self._stream_body(body)
            events.clear()
        elif body:
            events.append(h11.Data(data=body))
        await self._send(*events, h11.EndOfMessage())

    async def _stream_body(self, body: AsyncIterator[bytes]) -> None:
        complete = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_on_hangup, tasks.cancel_scope)
            complete = await self._pump(body)
            tasks.cancel_scope.cancel()
        if not complete:
            raise Disconnect

    async def _pump(self, body: AsyncIterator[bytes]) -> bool:
        """Send what the iterator yields; False when it, or the client, broke off."""
        try:
            async for chunk in body:
                if chunk:
                    await self._send(h11.Data(data=chunk))
        except Disconnect:
            return False
        except Exception:
            _logger.exception("loopback: a response body failed")
            return False
        finally:
            if isinstance(body, AsyncGenerator):
                with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                    await body.aclose()
        return True

    async def _cancel_on_hangup(self, scope: anyio.CancelScope) -> None:
        try:
            data = await self._stream.receive()
        except _GONE:
            scope.cancel()
        else:
            # The next request, early. It waits in h11; we look no further, so that no more can pile up there.
            self._http.receive_data(data)

    async def _refuse(self, status: int) -> None:
        """Answer a request that cannot be served, then close so that the client can read the answer."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = _phrase(status)
        head = _head(Response(status, {**_TEXT, "connection": "close"}, text))
        with suppress(Disconnect):
            await self._send(head, h11.Data(data=text), h11.EndOfMessage())
        with anyio.move_on_after(LINGER_SECONDS), suppress(*_GONE):
            await self._stream.send_eof()
            while True:  # closing over unread input would reset the connection, and lose our answer
                await self._stream.receive()

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        try:
            with anyio.fail_after(SEND_SECONDS):
                await self._stream.send(data)
        except (*_GONE, TimeoutError):
            raise Disconnect from None


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise h11.RemoteProtocolError("body too large", error_status_hint=413)


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(head.method.decode("latin-1"), path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)


def _head(response: Response) -> h11.Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if isinstance(response.body, bytes) and response.status not in _BODILESS:
        headers.setdefault("content-length", str(len(response.body)))
    return h11.Response(status_code=response.status, headers=list(headers.items()))


def _phrase(status: int) -> bytes:
    return f"{HTTPStatus(status).phrase}\n".encode()
