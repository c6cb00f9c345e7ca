"""What OpenTelemetry is told: names, parents and attributes, and nothing that a user or a secret would show in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from appserver.otel import Telemetry
from appserver.settings import load_settings
from appserver.testing import Gate, Stream, cut, failed, function_call, http_error, output, stalled, text
from tests.handlers.accounts import store_login
from tests.peer import in_memory

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
WORDS = "the user's own words"
ANSWER = "what the model has said"
TOOL = {"type": "function", "name": "lookup", "description": "d", "inputSchema": {"type": "object"}}


class Told:
    """A server that tells OpenTelemetry's own exporters in memory."""

    def __init__(self, backend: FakeBackend, home: Path) -> None:
        self._settings = load_settings(backend.environ(home))
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        spans = TracerProvider(resource=Resource({}))
        spans.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._provider = MeterProvider([self._reader])
        self._telemetry = Telemetry(spans, self._provider)

    def server(self) -> AbstractAsyncContextManager[Peer]:
        return in_memory(self._settings, telemetry=self._telemetry)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """Return the one span with this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def metrics(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """Return the points of each metric now: attributes and value."""
        data = self._reader.get_metrics_data()
        assert data is not None
        found = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        return {
            metric.name: [
                (dict(point.attributes or {}), getattr(point, "value", None)) for point in metric.data.data_points
            ]
            for metric in found
        }


@pytest.fixture
def told(backend: FakeBackend, home: Path) -> Told:
    return Told(backend, home)


def _told(point: Any) -> tuple[dict[str, Any], Any]:  # noqa: ANN401 - of one of several classes
    return dict(point.attributes or {}), point.value


def identity(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.span_id:016x}"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def start_turn(peer: Peer, thread_id: str, **envelope: object) -> Any:  # noqa: ANN401 - the turn
    params = {"threadId": thread_id, "input": [{"type": "text", "text": WORDS}]}
    await peer.send({"id": "start", "method": "turn/start", "params": params, **envelope})
    started = await peer.wait(lambda message: message.get("id") == "start")
    return await peer.finished_turn(started["result"]["turn"]["id"])


async def test_a_request_its_turn_its_model_calls_and_a_refresh_are_one_trace(
    told: Told, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.script(text(ANSWER))
    async with told.server() as peer:
        thread_id = await peer.start_thread()
        backend.expire_access_tokens()
        turn = await start_turn(peer, thread_id, trace={"traceparent": PARENT, "tracestate": "vendor=value"})
    request, turn_span, refresh = told.span("turn/start"), told.span("turn"), told.span("refresh")
    refused, answered = [span for span in told.spans if span.name.startswith("chat ")]
    assert parent(request) == "b7ad6b7169203331"
    assert parent(turn_span) == identity(request)
    assert {parent(span) for span in (refused, answered, refresh)} == {identity(turn_span)}
    of_trace = [span for span in told.spans if f"{span.get_span_context().trace_id:032x}" == TRACE_ID]
    assert len(of_trace) == 5
    assert attributes(request) == {"rpc.system": "jsonrpc", "rpc.method": "turn/start", "appserver.connection": 1}
    assert attributes(turn_span) == {"appserver.thread.id": thread_id, "appserver.turn.id": turn["id"]}
    assert attributes(refresh) == {"appserver.refresher": "OAuthRefresher"}
    model = answered.name.removeprefix("chat ")
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": model,
        "server.address": "127.0.0.1",
    }
    assert attributes(answered) == call
    assert attributes(refused) == {**call, "error.type": "unauthorized"}
    sent = [request.headers for request in backend.requests.to("/v1/responses")]
    assert [headers["traceparent"] for headers in sent] == [
        f"00-{TRACE_ID}-{identity(span)}-01" for span in (refused, answered)
    ]
    assert {headers["tracestate"] for headers in sent} == {"vendor=value"}


@pytest.mark.parametrize("in_batch", [False, True])
async def test_a_turn_without_a_trace_of_the_clients_begins_one(
    told: Told, backend: FakeBackend, in_batch: bool
) -> None:
    async with told.server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        params = {"threadId": await peer.start_thread(), "input": [{"type": "text", "text": WORDS}]}
        request = {"id": "start", "method": "turn/start", "params": params}
        await peer.send([request] if in_batch else request)
        await peer.notification("turn/completed")
    request_span, turn = told.span("turn/start"), told.span("turn")
    assert parent(request_span) is None
    assert parent(turn) == identity(request_span)


async def test_failures_are_told_by_a_name_of_a_few(told: Told, backend: FakeBackend) -> None:
    backend.script(http_error(400, {"error": {"message": f"what is {WORDS}?", "code": "context_length_exceeded"}}))
    async with told.server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await start_turn(peer, await peer.start_thread())
        await peer.error("turn/interrupt", {"threadId": "nowhere", "turnId": ""})
        await peer.error("no/such/method")
        await peer.error("account/login/cancel", {})
    errors = {span.name: attributes(span).get("error.type") for span in told.spans}
    assert errors["turn"] == "contextWindowExceeded"
    assert [error for name, error in errors.items() if name.startswith("chat ")] == ["contextWindowExceeded"]
    assert errors["turn/interrupt"] == "ThreadNotFound"
    assert errors["unknown"] == "MethodNotFound"
    assert errors["account/login/cancel"] == "InvalidParams"
    assert told.metrics()["appserver.turns"] == [({"error.type": "contextWindowExceeded"}, 1)]


@pytest.mark.parametrize(
    ("reply", "error"),
    [(failed("insufficient_quota"), "usageLimitExceeded"), (cut("begun"), "responseStreamDisconnected")],
)
async def test_a_failure_within_an_answer_is_one_of_the_model_call(
    told: Told, backend: FakeBackend, reply: Stream, error: str
) -> None:
    backend.script(*[reply] * 6)
    async with told.server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await start_turn(peer, await peer.start_thread())
    calls = [attributes(span).get("error.type") for span in told.spans if span.name.startswith("chat ")]
    assert set(calls) == {error}
    assert attributes(told.span("turn"))["error.type"] == error


async def test_turns_tokens_and_refreshes_are_counted(told: Told, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant())
    async with told.server() as peer:
        thread_id = await peer.start_thread()
        await peer.turn(thread_id)
        gate = Gate()
        backend.script(stalled(gate, "begun"))
        turn_id = await peer.start_turn(thread_id)
        await peer.notification("item/agentMessage/delta", len(peer.messages) - 1)
        await peer.result("turn/interrupt", {"threadId": thread_id, "turnId": turn_id})
        await peer.finished_turn(turn_id)
        backend.expire_access_tokens()
        backend.tokens.expire_refresh_tokens()
        await peer.turn(thread_id)
        used = (await peer.notification("thread/tokenUsage/updated"))["tokenUsage"]["total"]
        metrics = told.metrics()
    assert sorted(metrics["appserver.turns"], key=str) == [
        ({"error.type": "interrupted"}, 1),
        ({"error.type": "unauthorized"}, 1),
        ({}, 1),
    ]
    assert metrics["appserver.refreshes"] == [
        ({"appserver.refresher": "OAuthRefresher", "error.type": "RefreshError"}, 1)
    ]
    assert metrics["appserver.tokens"] == [
        ({"gen_ai.token.type": "input"}, used["inputTokens"]),
        ({"gen_ai.token.type": "output"}, used["outputTokens"]),
    ]
    assert metrics["appserver.connections"] == [({}, 1)]
    assert metrics["appserver.outbox.size"] == [({}, 0)]
    assert "appserver.loop.longest_pause" not in metrics, "it is not our own event loop"


async def test_no_secret_and_no_text_is_told(told: Told, backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    store_login(home, grant)
    backend.script(output(function_call("lookup", {"id": "arguments"})), text(ANSWER), http_error(500, WORDS))
    async with told.server() as peer:
        peer.responders["item/tool/call"] = lambda _: {"result": {"contentItems": [], "success": True}}
        thread_id = await peer.start_thread(dynamicTools=[TOOL], cwd=str(home.parent))
        await start_turn(peer, thread_id)
        backend.expire_access_tokens()
        await peer.turn(thread_id, WORDS)
        await peer.error("account/login/start", {"type": "apiKey", "key": "a-key-in-the-wrong-place"})
        await peer.error(f"a method that is {WORDS}")
        await peer.result("account/logout")
    spans = "".join(span.to_json() for span in told.spans)
    everything = spans + json.dumps(told.metrics(), default=str)
    secrets = (grant.access_token, grant.refresh_token, "a-key-in-the-wrong-place", "user@example.com", "org-1")
    for secret in (*secrets, WORDS, ANSWER, "arguments", str(home)):
        assert secret not in everything
    assert len(told.spans) > 8
