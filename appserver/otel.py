"""Telemetry with OpenTelemetry (`telemetry.Telemetry`). The only file that imports it; an extra brings it.

Configured by OpenTelemetry's own environment variables. Nothing global is set: another library's spans are its own.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import set_span_in_context as in_context

from appserver import __version__
from appserver.log import HiddenSecrets, log_exception, warn
from appserver.otel_settings import METRICS, TRACES, exporters, header_values
from appserver.request_context import current_context
from appserver.trace_context import TraceContext
from protocol.base import Secret
from protocol.methods import CLIENT_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan

    from appserver.telemetry import Figures
    from protocol.envelope import Message
    from protocol.thread import TokenUsage

SCOPE = "appserver"
SERVICE = "appserverd"

Attributes = dict[str, str | int]


def from_environment(environ: Mapping[str, str]) -> Telemetry:
    """Return telemetry with the exporters that the environment names. One that is not installed is warned of."""
    hidden = HiddenSecrets()
    hidden.hide(*map(Secret, header_values(environ)))  # the SDK logs those that it cannot read
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME)).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE, SERVICE_VERSION: __version__}))
    # They end with the server, within its bound: not at exit, where an exporter may wait for as long as it likes.
    spans = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _loaded(TRACES, environ):
        spans.add_span_processor(BatchSpanProcessor(exporter))
    readers = [PeriodicExportingMetricReader(exporter) for exporter in _loaded(METRICS, environ)]
    return Telemetry(spans, MeterProvider(readers, resource, shutdown_on_exit=False), hidden)


def _loaded(signal: str, environ: Mapping[str, str]) -> Iterable[Any]:
    group = f"opentelemetry_{signal}_exporter"
    for name in exporters(signal, environ):
        found = list(entry_points(group=group, name=name))
        if not found:
            warn(f"OpenTelemetry: no installed package has an exporter {name!r:.60} for {signal}")
            continue
        try:
            yield found[0].load()()
        except Exception as exc:  # noqa: BLE001 - whatever it finds wrong with its variables, the server goes on without
            log_exception(f"OpenTelemetry: the exporter {name!r:.60} for {signal} cannot be used", exc)


class Telemetry:
    """Spans to a tracer, metrics to a meter."""

    def __init__(self, spans: TracerProvider, metrics: MeterProvider, hidden: HiddenSecrets | None = None) -> None:
        """`hidden`: what is not to be logged while this is in use."""
        self._hidden = hidden
        self._providers = (spans, metrics)
        self._tracer = spans.get_tracer(SCOPE, __version__)
        self._meter = meter = metrics.get_meter(SCOPE, __version__)
        self._turns = meter.create_counter("appserver.turns", "{turn}", "turns that have ended, by how")
        self._refreshes = meter.create_counter(
            "appserver.refreshes", "{refresh}", "times that new tokens were asked for"
        )
        self._tokens = meter.create_counter("appserver.tokens", "{token}", "tokens that the model backend has counted")

    def request(self, request: Message) -> Span:
        """Begin the span of a request; a method that is not ours may be any text, and is not told."""
        method = request["method"] if request["method"] in CLIENT_REQUESTS else "unknown"
        attributes: Attributes = {"rpc.system": "jsonrpc", "rpc.method": method}
        if (connection := current_context.get().connection) is not None:
            attributes["appserver.connection"] = connection
        return self._begin(method, SpanKind.SERVER, attributes)

    def turn(self, thread_id: str, turn_id: str) -> Span:
        attributes: Attributes = {"appserver.thread.id": thread_id, "appserver.turn.id": turn_id}
        return self._begin("turn", SpanKind.INTERNAL, attributes, lambda outcome: self._turns.add(1, outcome))

    def model_call(self, provider: str, model: str, host: str) -> Span:
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "server.address": host,
        }
        return self._begin(f"chat {model}", SpanKind.CLIENT, attributes)

    def refresh(self, refresher: str) -> Span:
        attributes: Attributes = {"appserver.refresher": refresher}
        count = self._refreshes
        return self._begin(
            "refresh", SpanKind.INTERNAL, attributes, lambda outcome: count.add(1, {**attributes, **outcome})
        )

    def used(self, usage: TokenUsage) -> None:
        """Count the tokens of an answer."""
        for kind, number in (("input", usage["inputTokens"]), ("output", usage["outputTokens"])):
            self._tokens.add(number, {"gen_ai.token.type": kind})

    def watch(self, figures: Figures) -> None:
        """Look at figures whenever metrics are collected."""
        for name, unit, description, read in (
            ("appserver.connections", "{connection}", "clients", figures.open_connections),
            ("appserver.outbox.size", "By", "what clients have not read yet", figures.unsent_bytes),
            ("appserver.loop.longest_pause", "s", "of the event loop, in the last minute", figures.longest_loop_pause),
        ):
            self._meter.create_observable_gauge(name, [_observing(read)], unit, description)

    def close(self) -> None:
        """Export what has not been, and end."""
        for provider in self._providers:
            provider.shutdown()

    def _begin(
        self, name: str, kind: SpanKind, attributes: Attributes, count: Callable[[Attributes], None] | None = None
    ) -> Span:
        begun = self._tracer.start_span(name, _parent(), kind, attributes)
        return Span(begun, count)


class Span:
    """A span that is under way (`telemetry.Span`)."""

    def __init__(self, span: OtelSpan, count: Callable[[Attributes], None] | None) -> None:
        self._span = span
        self._count = count
        context = span.get_span_context()
        ids = f"{context.trace_id:032x}-{context.span_id:016x}"
        self.trace = TraceContext(f"00-{ids}-{context.trace_flags:02x}", context.trace_state.to_header() or None)

    def end(self, error: str | None = None) -> None:
        """End it, once."""
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attribute("error.type", error)
        self._span.end()
        if self._count is not None:
            self._count({"error.type": error} if error else {})


def _parent() -> Context | None:
    """Return the context with the span that the request or the turn belongs to, if there is one."""
    trace = current_context.get().trace
    if trace is None:
        return None
    _, trace_id, span_id, flags = trace.traceparent.split("-")
    state = TraceState.from_header([trace.tracestate] if trace.tracestate else [])
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)), state)
    return in_context(NonRecordingSpan(parent))


def _observing(read: Callable[[], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        value = read()
        return [] if value is None else [Observation(value)]

    return observe
