"""The trace that a request belongs to goes on to the model backend, with every request of the turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import function_call, http_error, output, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = {"traceparent": PARENT, "tracestate": "vendor=value"}
TOOL = {"type": "function", "name": "lookup", "description": "d", "inputSchema": {"type": "object"}}


def traces(backend: FakeBackend) -> list[tuple[str | None, str | None]]:
    """Return the two headers of each model request."""
    sent = [request.headers for request in backend.requests.to("/v1/responses")]
    return [(headers.get("traceparent"), headers.get("tracestate")) for headers in sent]


async def turn(peer: Peer, thread_id: str, *, in_batch: bool = False, meta: object = None, **envelope: object) -> Any:  # noqa: ANN401 - the turn
    """Run a turn of a request that carries more than the protocol's params."""
    params: dict[str, Any] = {"threadId": thread_id, "input": [{"type": "text", "text": "Hello"}]}
    if meta is not None:
        params["_meta"] = meta
    request = {"id": "start", "method": "turn/start", "params": params, **envelope}
    seen = len(peer.messages)
    await peer.send([request] if in_batch else request)
    started = await peer.wait(lambda message: message.get("id") == "start", seen)
    return await peer.finished_turn(started["result"]["turn"]["id"])


@pytest.mark.parametrize("in_batch", [False, True])
async def test_the_trace_goes_on_with_every_request_of_the_turn(
    server: ServerFactory, backend: FakeBackend, in_batch: bool
) -> None:
    backend.script(output(function_call("lookup", {})), http_error(500), text("done"))
    async with server("model_providers.fake.request_max_retries=1") as peer:
        peer.responders["item/tool/call"] = lambda _: {"result": {"contentItems": [], "success": True}}
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread(dynamicTools=[TOOL])
        assert (await turn(peer, thread_id, in_batch=in_batch, trace=TRACE))["status"] == "completed"
        assert traces(backend) == [(PARENT, "vendor=value")] * 3
        await peer.turn(thread_id)
    assert traces(backend)[3:] == [(None, None)]


async def test_the_trace_may_stand_in_the_params(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert (await turn(peer, await peer.start_thread(), meta=TRACE))["status"] == "completed"
    assert traces(backend) == [(PARENT, "vendor=value")]


async def test_a_summary_of_the_history_belongs_to_the_trace(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        await peer.turn(thread_id)
        seen = len(peer.messages)
        await peer.send({"id": 9, "method": "thread/compact/start", "params": {"threadId": thread_id}, "trace": TRACE})
        await peer.notification("turn/completed", seen)
    assert traces(backend) == [(None, None), (PARENT, "vendor=value")]


@pytest.mark.parametrize("trace", ["nonsense", 7, [], {"traceparent": 7}, {"traceparent": f"{PARENT}\r\nX-Evil: yes"}])
async def test_a_malformed_trace_is_passed_over(server: ServerFactory, backend: FakeBackend, trace: object) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert (await turn(peer, await peer.start_thread(), trace=trace, meta=trace))["status"] == "completed"
    assert traces(backend) == [(None, None)]
