"""What is done around every request: its id, its line in the log, its place in the metrics, and the server's end."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from appserver.log import log_info
from appserver.request_context import RequestContext, current_context
from appserver.trace_context import TRACEPARENT, TRACESTATE, trace_in

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from appserver.gateway.gateway import Gateway

OPEN = ("/health", "/ready", "/metrics")
"""Paths that are answered to the end, and are no requests of users."""

STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
"""Messages that begin an answer, and have its headers."""

OTHER = "other"
"""Stands for every path that is not in the table: a client must not fill the memory with counters."""

MAX_LOGGED = 200
"""Characters of a path in the log."""


def observed(app: ASGIApp, gateway: Gateway, paths: frozenset[str], turn_away: ASGIApp) -> ASGIApp:
    """Return an application that answers as `app` does. `paths`: which the metrics name; `turn_away`: at the end."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            await app(scope, receive, send)
            return
        request_id, status, begun = uuid.uuid4().hex, 0, time.perf_counter()
        token = current_context.set(RequestContext(request=request_id, trace=trace_in(_trace_headers(scope))))

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] in STARTS:
                status = message.get("status", 101)
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if gateway.is_draining:
                await turn_away(scope, receive, answer)
            elif scope["type"] == "websocket":  # it may last for days; its turns are what the end waits for
                await app(scope, receive, answer)
            else:
                with gateway.request():
                    await app(scope, receive, answer)
        finally:
            seconds, path = time.perf_counter() - begun, scope["path"]
            gateway.metrics.answered(path if path in paths else OTHER, status, seconds)
            log_info(f"{scope.get('method', 'WEBSOCKET')} {path[:MAX_LOGGED]!r} {status} {seconds * 1000:.1f} ms")
            current_context.reset(token)

    return run


def _trace_headers(scope: Scope) -> dict[str, str]:
    """Return the headers of W3C Trace Context; a tracestate may come in several lines."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        if name in (TRACEPARENT, TRACESTATE):
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found
