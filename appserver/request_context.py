"""The request on whose behalf something is done: its connection, thread, turn and trace.

A context variable holds it, so the tasks that a request starts inherit it. It is set once for each request and each
turn, and read where a line is logged, a span begins or the model is asked: a streamed delta pays nothing for it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from appserver.trace_context import trace_of

if TYPE_CHECKING:
    from appserver.trace_context import TraceContext
    from protocol.envelope import Message, RequestId


class RequestContext(NamedTuple):
    """None stands for what there is none of, such as the connection of background work."""

    connection: int | None = None
    request: RequestId | None = None
    thread: str | None = None
    turn: str | None = None
    trace: TraceContext | None = None
    """What a request to the model backend passes on."""


current_context: ContextVar[RequestContext] = ContextVar("request_context", default=RequestContext())  # noqa: B039 - immutable


def of_request(connection: int | None, request: Message) -> RequestContext:
    """Return the context of a request that has come over a connection."""
    params = request.get("params")
    thread = params.get("threadId") if isinstance(params, dict) else None
    thread_id = thread if isinstance(thread, str) else None
    return RequestContext(connection, request["id"], thread_id, None, trace_of(request))
