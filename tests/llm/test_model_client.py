"""One call to the model backend: what is sent, and how failures are told."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from appserver.errors import BackendError, Unauthorized
from appserver.http import Http
from appserver.llm import client
from appserver.llm.authorized import Access
from appserver.llm.client import HEADER_SECONDS, PIECE_BYTES, ModelClient, ModelRequest, header_seconds
from appserver.session import Session
from appserver.settings import Provider, Settings
from appserver.tasks import Tasks
from appserver.testing import Gate, Stream, cut, http_error, stalled, text
from protocol.base import Secret
from tests.wire import GONE, chunked, head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ByteStream

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
"""For what takes no time at all."""

ACCESS = Access(Secret("good"), "org-1", is_chatgpt=True, generation=1)


class Caller:
    """A client, and a provider that points at the fake backend."""

    def __init__(self, backend: FakeBackend) -> None:
        self.settings = Settings("/nowhere", chatgpt_base_url=backend.chatgpt_base_url)
        self.http = Http(self.settings)
        self.tasks = Tasks()
        self.client = ModelClient(self.http, self.settings, self.tasks)
        self.provider = Provider("fake", "Fake", backend.base_url)

    def request(self, **members: Any) -> ModelRequest:  # noqa: ANN401 - fields of the request
        fields: dict[str, Any] = {"provider": self.provider, "thread_id": "t", "session": Session()}
        return ModelRequest(**{**fields, "model": "m", "instructions": "i", "input": [], **members})

    async def types(self, request: ModelRequest) -> list[str]:
        """Send a request and return the types of all events."""
        stream = await self.client.open(request, ACCESS)
        try:
            return [event["type"] async for batch in stream.batches() for event in batch]
        finally:
            await stream.close()


@pytest.fixture
async def caller(backend: FakeBackend) -> AsyncIterator[Caller]:
    calling = Caller(backend)
    async with anyio.create_task_group() as group:
        calling.tasks.open(group)
        yield calling
    await calling.http.close()


async def test_events_come_in_order(backend: FakeBackend, caller: Caller) -> None:
    backend.script(text("Hi"))
    types = await caller.types(caller.request())
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    assert "response.output_text.delta" in types


async def test_the_request_is_what_the_responses_api_takes(backend: FakeBackend, caller: Caller) -> None:
    schema = {"type": "object"}
    tools = [{"type": "function", "name": "f"}]
    await caller.types(caller.request(effort="high", summary="detailed", output_schema=schema, tools=tools))
    sent = backend.requests[0].json()
    assert (sent["model"], sent["instructions"], sent["stream"], sent["store"]) == ("m", "i", True, False)
    assert sent["reasoning"] == {"summary": "detailed", "effort": "high"}
    assert sent["text"]["format"]["schema"] == schema
    assert sent["tools"] == tools
    assert sent["prompt_cache_key"] == "t"


@pytest.mark.parametrize("characters", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 5])
async def test_a_body_of_any_length_arrives_whole_with_its_length(
    characters: int, backend: FakeBackend, caller: Caller
) -> None:
    await caller.types(caller.request(instructions="é" * characters))
    (request,) = backend.requests
    assert request.json()["instructions"] == "é" * characters
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers


async def test_no_summary_is_asked_for_by_leaving_it_out(backend: FakeBackend, caller: Caller) -> None:
    await caller.types(caller.request(summary="none"))
    assert backend.requests[0].json()["reasoning"] == {}


async def test_who_asks_is_said_in_headers(backend: FakeBackend, caller: Caller) -> None:
    await caller.types(caller.request())
    headers = backend.requests[0].headers
    assert headers["authorization"] == "Bearer good"
    assert headers["chatgpt-account-id"] == "org-1"
    assert (headers["session-id"], headers["thread-id"]) == ("t", "t")


async def test_a_configured_header_is_sent_as_utf_8(backend: FakeBackend, caller: Caller) -> None:
    caller.provider = caller.provider._replace(headers={"x-user": "Zoë"})
    await caller.types(caller.request())
    assert backend.requests[0].headers["x-user"].encode("latin-1") == "Zoë".encode()


async def test_the_built_in_provider_follows_the_sign_in(backend: FakeBackend, caller: Caller) -> None:
    caller.provider = Provider("openai", "OpenAI")
    await caller.types(caller.request())
    assert backend.requests[0].path == "/backend-api/codex/responses"


async def test_a_401_is_unauthorized(backend: FakeBackend, caller: Caller) -> None:
    backend.expire_access_tokens()
    with pytest.raises(Unauthorized):
        await caller.types(caller.request())


async def test_a_refusal_tells_its_headers_and_when_to_come_back(backend: FakeBackend, caller: Caller) -> None:
    backend.script(http_error(503, headers={"retry-after": "7", "x-codex-primary-used-percent": "1"}))
    with pytest.raises(BackendError) as raised:
        await caller.types(caller.request())
    assert raised.value.retry_after == 7
    assert raised.value.headers["x-codex-primary-used-percent"] == "1"


async def test_a_refused_connection_can_be_retried(backend: FakeBackend, caller: Caller) -> None:
    caller.provider = caller.provider._replace(base_url="http://127.0.0.1:1/v1")
    with pytest.raises(BackendError, match="could not be reached") as raised:
        await caller.types(caller.request())
    assert raised.value.retryable


async def test_a_connection_that_breaks_before_the_answer_can_be_retried(backend: FakeBackend, caller: Caller) -> None:
    backend.model.cut_next()
    with pytest.raises(BackendError) as raised:
        await caller.types(caller.request())
    assert raised.value.info == {"responseStreamConnectionFailed": {"httpStatusCode": None}}


async def test_a_stream_that_breaks_is_told_as_cut(backend: FakeBackend, caller: Caller) -> None:
    backend.script(cut("Hel"))
    with pytest.raises(BackendError) as raised:
        await caller.types(caller.request())
    assert raised.value.info == {"responseStreamDisconnected": {"httpStatusCode": None}}


async def test_a_silent_stream_is_given_up_after_the_idle_timeout(backend: FakeBackend, caller: Caller) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    caller.provider = caller.provider._replace(stream_idle_timeout=0.05)
    with pytest.raises(BackendError, match="no answer in time"):
        await caller.types(caller.request())
    await gate.abandoned.wait()


async def test_comments_keep_a_stream_alive_and_are_no_events(backend: FakeBackend, caller: Caller) -> None:
    reply = text("Hi")
    backend.script(Stream(reply.items, keep_alive=True))
    assert await caller.types(caller.request()) == [
        "response.created",
        "response.output_item.added",
        "response.output_text.delta",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize(
    ("requires_openai_auth", "idle", "bound"), [(True, 300.0, HEADER_SECONDS), (True, 5.0, 5.0), (False, 300.0, 300.0)]
)
def test_a_local_model_may_be_silent_for_longer_before_its_headers_than_a_hosted_one(
    requires_openai_auth: bool, idle: float, bound: float
) -> None:
    provider = Provider("p", "P", requires_openai_auth=requires_openai_auth, stream_idle_timeout=idle)
    assert header_seconds(provider) == bound


@pytest.mark.parametrize("end", [[b"0\r\n\r\n"], [b"", b"0\r\n\r\n"], [b"0\r", b"\n\r\n"]])
async def test_a_connection_is_used_again_also_where_the_end_of_the_body_comes_after_the_final_event(
    caller: Caller, end: list[bytes]
) -> None:
    assert await connections_of_two_requests(caller, end) == 1


@pytest.mark.parametrize("end", [[b""], [b"1\r\nx\r\n"], [b"", b"1\r\nx\r\n"], [b"nonsense\r\n"]])
async def test_a_connection_is_closed_where_something_else_or_nothing_follows_the_final_event(
    caller: Caller, end: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "END_SECONDS", 0.05)
    assert await connections_of_two_requests(caller, end) == 2


async def connections_of_two_requests(caller: Caller, end: list[bytes]) -> int:
    """Return over how many connections two requests go. What is in `end` comes with the final event, and after it."""
    connections, closed = 0, anyio.Event()
    event = b'data: {"type": "response.completed", "response": {"id": "r"}}\n\n'
    answer = head("content-type: text/event-stream", "transfer-encoding: chunked") + chunked([event])

    async def serve(connection: ByteStream) -> None:
        nonlocal connections
        connections += 1
        async with connection:
            with suppress(*GONE):
                while True:
                    await connection.receive()
                    await connection.send(answer + end[0])
                    await closed.wait()
                    for piece in end[1:]:
                        await connection.send(piece)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra_attributes[SocketAttribute.local_port]()
        provider = Provider("fake", "Fake", f"http://127.0.0.1:{port}")
        for _ in range(2):
            closed = anyio.Event()
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as ends:
                    caller.tasks.open(ends)
                    stream = await caller.client.open(caller.request(provider=provider), ACCESS)
                    async with aclosing(stream.batches()) as batches:
                        assert [event["type"] for event in await anext(batches)] == ["response.completed"]
                    await stream.close()
                    closed.set()
        tasks.cancel_scope.cancel()
    return connections
