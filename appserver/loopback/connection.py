"""The connection of one client: parses its requests and answers them in turn, each step within the limits."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import anyio
import h11

from appserver.loopback.messages import Disconnect, Request, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.loopback.limits import Limits
    from appserver.loopback.messages import Handler
    from appserver.loopback.slots import Slot

LINGER_SECONDS: Final = 1.0  # for a refused client to stop sending, so that it can read why
CLEANUP_SECONDS: Final = 5.0  # for a body iterator to finish after its connection has ended

_BODILESS: Final = frozenset({204, 304})  # RFC 9110, 6.4.1
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_logger = logging.getLogger(__name__)


class HttpConnection:
    """The requests of one client, answered one after another."""

    def __init__(self, slot: Slot, handler: Handler, limits: Limits) -> None:
        self._slot = slot
        self._stream = slot.stream
        self._handler = handler
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)

    async def run(self) -> None:
        """Serve the client until it has no more to ask."""
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
        with self._slot.idle(), anyio.move_on_after(self._limits.receive_seconds):
            head = await self._next_event()
            if isinstance(head, h11.Request):
                if head.method == b"CONNECT":  # asks for a tunnel (RFC 9110, section 9.3.6); there is none here
                    raise h11.RemoteProtocolError("CONNECT is not served", error_status_hint=501)
                return _request(head, await self._receive_body(head))
        return None

    async def _receive_body(self, head: h11.Request) -> bytes:
        self._check_size(next((int(value) for name, value in head.headers if name == b"content-length"), 0))
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            self._check_size(len(body))
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise h11.RemoteProtocolError("body too large", error_status_hint=413)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._receive_data())
        return event

    async def _receive_data(self) -> bytes:
        return await self._stream.receive(self._limits.read_bytes)

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
        if data := await self._receive_data():
            # The next request, early. It waits in h11, and nothing more is read, so that h11 buffers no more than that.
            self._http.receive_data(data)
        else:
            scope.cancel()

    async def _refuse(self, status: int) -> None:
        """Answer a request that cannot be served, then close so that the client can read the answer."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = _phrase(status)
        head = _head(Response(status, {**_TEXT, "connection": "close"}, text))
        with suppress(Disconnect):
            await self._send(head, h11.Data(data=text), h11.EndOfMessage())
            self._stream.end()
            with self._slot.idle(), anyio.move_on_after(LINGER_SECONDS):
                while await self._receive_data():
                    pass  # closing over unread input would reset the connection, and lose our answer

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        with anyio.move_on_after(self._limits.send_seconds):
            await self._stream.send(data)
            return
        raise Disconnect


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    return Request(head.method.decode("latin-1"), path, parameters, query, headers, body)


def _head(response: Response) -> h11.Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if isinstance(response.body, bytes) and response.status not in _BODILESS:
        headers.setdefault("content-length", str(len(response.body)))
    return h11.Response(status_code=response.status, headers=list(headers.items()))


def _phrase(status: int) -> bytes:
    return f"{HTTPStatus(status).phrase}\n".encode()
