"""The request on whose behalf something is done: its connection, thread, turn and trace.

A context variable holds it, so the tasks that a request starts inherit it. It is set once for each request and each
turn, and read where a line is logged, a span begins or the model is asked: a streamed delta pays nothing for it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from appserver.trace_context import TraceContext
    from protocol.envelope import RequestId


class RequestContext(NamedTuple):
    """None stands for what there is none of, such as the connection of background work."""

    connection: int | None = None
    request: RequestId | None = None
    thread: str | None = None
    turn: str | None = None
    trace: TraceContext | None = None
    """What a request to the model backend passes on."""


current_context: ContextVar[RequestContext] = ContextVar("request_context", default=RequestContext())  # noqa: B039 - immutable
