"""The opening handshake of a WebSocket: who may connect, from which web pages, and what else is answered over HTTP.

A request that is refused gets an HTTP status and is logged without anything that it has sent.
"""

from __future__ import annotations

from http import HTTPStatus
from logging import CRITICAL, Logger
from typing import TYPE_CHECKING, NamedTuple

from anyio import move_on_after
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from appserver.transport.base import TransportClosed
from appserver.transport.websocket import WebSocketTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.datastructures import Headers

    from appserver.transport.refusals import Refusals
    from appserver.transport.sockets import SocketStream
    from appserver.transport.ws_access import Access

HANDSHAKE_SECONDS = 10.0
"""What a client gets to send its request and to read the response."""

SUBPROTOCOL = "app-server"
"""What a client may name as the protocol inside of the WebSocket."""

BEARER_SUBPROTOCOL = "app-server.bearer."
"""Before a token, as another subprotocol: how a web page sends one, which cannot set a header."""

SCHEME = "bearer "

PROBES = ("/healthz", "/readyz")
"""Answered without a token: whether there is a server says nothing about its user."""

_SILENT = Logger("websockets", CRITICAL)
"""The package would log headers, and so tokens."""


class Policy(NamedTuple):
    """Who may connect."""

    access: Access | None
    """None: who has got this far may connect, as on a unix socket."""
    origins: frozenset[str] = frozenset()
    """The web pages whose scripts may connect."""


async def upgrade(
    stream: SocketStream, policy: Policy, refusals: Refusals, max_message_bytes: int, first: bytes = b""
) -> WebSocketTransport | None:
    """Answer the HTTP request of a client. Returns None if that opens no WebSocket.

    `first`: what has been received already.
    """
    protocol = ServerProtocol(max_size=max_message_bytes, logger=_SILENT, select_subprotocol=_subprotocol)
    opened: WebSocketTransport | None = None
    with move_on_after(HANDSHAKE_SECONDS) as bound:
        try:
            request = await _request(stream, protocol, first)
            if request is not None:
                response = _response(protocol, request, policy, refusals.note)
                protocol.send_response(response)
                if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                    opened = WebSocketTransport(stream, protocol)
            await stream.send(b"".join(protocol.data_to_send()))
        except TransportClosed:
            return None
    if bound.cancelled_caught:
        refusals.note(f"its request was not complete after {HANDSHAKE_SECONDS:g}s")
        return None
    return opened


async def _request(stream: SocketStream, protocol: ServerProtocol, first: bytes) -> Request | None:
    """Receive a request; None: the client has left, or it was none."""
    chunk = first or await stream.receive()
    while chunk:
        protocol.receive_data(chunk)
        for event in protocol.events_received():
            if isinstance(event, Request):
                return event
        if protocol.handshake_exc is not None:
            return None
        chunk = await stream.receive()
    return None


def _response(protocol: ServerProtocol, request: Request, policy: Policy, refuse: Callable[[str], None]) -> Response:
    headers = request.headers
    if any(origin not in policy.origins for origin in headers.get_all("Origin")):
        refuse("the Origin of the web page is not allowed")
        return protocol.reject(HTTPStatus.FORBIDDEN, "this Origin is not allowed\n")
    if request.path in PROBES:
        return protocol.reject(HTTPStatus.OK, "ok\n")
    if policy.access is not None:
        token = _token(headers)
        if token is None or not policy.access.allows(token):
            problem = "missing" if token is None else "invalid"
            refuse(f"its token is {problem}")
            response = protocol.reject(HTTPStatus.UNAUTHORIZED, f"{problem} websocket bearer token\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
    response = protocol.accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        refuse("its request opens no WebSocket")
        return protocol.reject(response.status_code, "this is a WebSocket server\n")
    return response


def _token(headers: Headers) -> str | None:
    """Return the token that a client shows, if it shows one."""
    shown = headers.get_all("Authorization")
    if len(shown) == 1 and shown[0][: len(SCHEME)].lower() == SCHEME:
        return str(shown[0][len(SCHEME) :].strip())
    offered = (name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(","))
    tokens = [name.removeprefix(BEARER_SUBPROTOCOL) for name in offered if name.startswith(BEARER_SUBPROTOCOL)]
    return tokens[0] if tokens and not shown else None


def _subprotocol(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose ours if it is offered, else none: a token is not repeated."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
