"""The request on whose behalf something is done: its connection, thread, turn and trace.

A context variable holds it, so the tasks that a request starts inherit it. It is set once for each request and each
turn, and read where a line is logged, a span begins or the model is asked: a streamed delta pays nothing for it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.trace_context import TraceContext
    from protocol.envelope import RequestId


class RequestContext:
    """None stands for what there is none of, such as the connection of background work. It does not change.

    `trace`: what a request to the model backend passes on.
    """

    __slots__ = ("connection", "request", "thread", "trace", "turn")

    def __init__(
        self,
        connection: int | None = None,
        request: RequestId | None = None,
        thread: str | None = None,
        turn: str | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        self.connection = connection
        self.request = request
        self.thread = thread
        self.turn = turn
        self.trace = trace

    def of_turn(self, thread: str, turn: str) -> RequestContext:
        """Return the context of a turn that the request has started."""
        return RequestContext(self.connection, self.request, thread, turn, self.trace)

    def of_trace(self, trace: TraceContext | None) -> RequestContext:
        """Return the context of what belongs to another span."""
        return RequestContext(self.connection, self.request, self.thread, self.turn, trace)


class CurrentContext:
    """The context in force. It may be set as a function that makes it: most requests never read theirs."""

    __slots__ = ("_get", "reset", "set")

    def __init__(self) -> None:
        held: ContextVar[RequestContext | Callable[[], RequestContext]] = ContextVar("request_context")
        self._get = held.get
        self.set = held.set
        self.reset = held.reset

    def get(self) -> RequestContext:
        """Return the context in force, an empty one outside of any request."""
        found = self._get(_NONE)
        if not isinstance(found, RequestContext):
            found = found()
            self.set(found)
        return found


_NONE = RequestContext()
current_context = CurrentContext()
