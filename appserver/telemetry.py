"""Spans and metrics: what the rest of the code says of its work, and to whom. Here, to nobody.

`otel.py` passes it on to OpenTelemetry. What is said holds no secret and nothing that a user or a model has written.
A span is the child of the one in whose context it begins (`request_context`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from appserver.errors import BackendError
from appserver.request_context import current_context

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Protocol

    from appserver.trace_context import TraceContext
    from protocol.envelope import Message
    from protocol.thread import TokenUsage

    # Here, because they are types alone: to make protocols takes time that start-up does not have.
    class Span(Protocol):
        """A piece of work that takes time."""

        @property
        def trace(self) -> TraceContext | None:
            """What work that belongs to this span carries. None: the context's own."""

        def end(self, error: str | None = None) -> None:
            """End it. `error`: a name for what went wrong, of a few in all, such as that of an exception."""

    class Figures(Protocol):
        """What is looked at now and then, from another thread."""

        def open_connections(self) -> int:
            """How many clients there are."""

        def unsent_bytes(self) -> int:
            """What clients have not read yet."""

        def longest_loop_pause(self) -> float | None:
            """The longest pause of the event loop in the last minute, in seconds. None: not measured."""

    class Telemetry(Protocol):
        """Takes what is said."""

        def request(self, request: Message) -> Span:
            """A request of a client's begins."""

        def turn(self, thread_id: str, turn_id: str) -> Span:
            """A turn begins. Its end is counted."""

        def model_call(self, provider: str, model: str, host: str) -> Span:
            """A request to a model backend begins; it ends with its answer."""

        def refresh(self, refresher: str) -> Span:
            """New tokens are asked for. The end is counted."""

        def used(self, usage: TokenUsage) -> None:
            """An answer of the model has used tokens."""

        def watch(self, figures: Figures) -> None:
            """Look at figures from now on."""

        def close(self) -> None:
            """Pass on what has not been. May block for as long as that takes."""


T = TypeVar("T")


class _NoSpan:
    trace = None

    def end(self, error: str | None = None) -> None:
        """Do nothing."""


class _NoTelemetry:
    """Says nothing, and costs a call."""

    def __init__(self) -> None:
        self._span = _NoSpan()

    def request(self, request: Message) -> Span:
        return self._span

    def turn(self, thread_id: str, turn_id: str) -> Span:
        return self._span

    def model_call(self, provider: str, model: str, host: str) -> Span:
        return self._span

    def refresh(self, refresher: str) -> Span:
        return self._span

    def used(self, usage: TokenUsage) -> None:
        """Do nothing."""

    def watch(self, figures: Figures) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


NO_TELEMETRY: Final[Telemetry] = _NoTelemetry()


async def ended_with(span: Span, awaitable: Awaitable[T]) -> T:
    """Await something, and end a span with it."""
    try:
        result = await awaitable
    except BaseException as exc:
        span.end(error_name(exc))
        raise
    span.end()
    return result


def error_name(exc: BaseException) -> str:
    """Return what a span says of an exception: the backend's kind of failure, in the protocol's words, or its type."""
    return info_name(exc.info) if isinstance(exc, BackendError) else type(exc).__name__


def info_name(info: object) -> str:
    """Return the name in a codexErrorInfo."""
    return next(iter(info), "other") if isinstance(info, dict) else str(info or "other")


def enter(span: Span) -> None:
    """Let what follows in this context belong to a span."""
    if span.trace is not None:
        current_context.set(current_context.get().of_trace(span.trace))
