"""The fake model: scripted replies as an event stream, failures, stalls, and who may ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from appserver import testing as fake

if TYPE_CHECKING:
    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

BEARER = {"authorization": "Bearer any"}
HELLO = {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi you"}]}]}


async def turn(client: httpx.AsyncClient, body: object = HELLO, path: str = "/v1/responses") -> list[dict[str, Any]]:
    answer = await client.post(path, json=body, headers=BEARER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    return events(answer.text)


def events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append(json.loads(fields["data"]))
            assert found[-1]["type"] == fields["event"]
    return found


def types(stream: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in stream]


def deltas(stream: list[dict[str, Any]]) -> list[str]:
    return [event["delta"] for event in stream if event["type"].endswith(".delta")]


@pytest.mark.parametrize("path", ["/v1/responses", "/backend-api/codex/responses"])
async def test_text_is_streamed_chunk_by_chunk(backend: FakeBackend, client: httpx.AsyncClient, path: str) -> None:
    backend.script(fake.text("Hello", " world"))
    stream = await turn(client, path=path)
    assert types(stream) == [
        "created",
        "output_item.added",
        "output_text.delta",
        "output_text.delta",
        "output_item.done",
        "completed",
    ]
    assert deltas(stream) == ["Hello", " world"]
    assert stream[-2]["item"]["content"][0]["text"] == "Hello world"
    assert stream[-1]["response"]["usage"]["total_tokens"] == 15
    assert [event["sequence_number"] for event in stream] == list(range(6))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (HELLO, "You said: Hi you"),
        ({"input": "plain"}, "You said: plain"),
        ({"input": [{"type": "function_call_output", "output": "it is open"}]}, "You said: it is open"),
        ({"input": []}, "You said: "),
        ({}, "You said: "),
        ([], "You said: "),
    ],
)
async def test_without_a_script_the_model_echoes(client: httpx.AsyncClient, body: object, said: str) -> None:
    assert "".join(deltas(await turn(client, body))) == said


async def test_the_default_reply_can_be_replaced(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.model.default = lambda request: fake.text(request.json()["model"])
    assert deltas(await turn(client, {"model": "m-1"})) == ["m-1"]


async def test_one_response_can_hold_reasoning_a_tool_call_and_anything_else(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    call = fake.function_call("lookup", {"id": 7}, call_id="call-9")
    raw = fake.RawItem({"type": "web_search_call", "status": "completed"})
    backend.script(fake.output(fake.reasoning("Let me", " see"), call, raw, fake.message("Done")))
    stream = await turn(client)
    items = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert [it["type"] for it in items] == ["reasoning", "function_call", "web_search_call", "message"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Let me see"}]
    assert (items[1]["name"], items[1]["arguments"], items[1]["call_id"]) == ("lookup", '{"id": 7}', "call-9")
    assert deltas(stream) == ["Let me", " see", '{"id": 7}', "Done"]
    assert [it["id"] for it in items] == [f"resp-1-item-{index}" for index in range(4)]


async def test_replies_are_taken_in_order_and_the_rest_can_be_counted_and_dropped(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.script(fake.text("one"), fake.text("two"), fake.text("three"))
    assert [deltas(await turn(client)) for _ in range(2)] == [["one"], ["two"]]
    assert backend.model.unplayed == 1
    backend.model.clear_script()
    assert backend.model.unplayed == 0


async def test_an_http_failure_carries_status_headers_and_body(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.script(
        fake.http_error(503, {"error": {"code": "x"}}, {"retry-after": "3"}),
        fake.http_error(500),
        fake.http_error(502, "<html>"),
        fake.usage_limit("plus", 123),
    )
    answers = [await client.post("/v1/responses", json=HELLO, headers=BEARER) for _ in range(4)]
    assert [it.status_code for it in answers] == [503, 500, 502, 429]
    assert (answers[0].json(), answers[0].headers["retry-after"]) == ({"error": {"code": "x"}}, "3")
    assert answers[1].json()["error"]["code"] == "http_500"
    assert answers[2].text == "<html>"
    limit = answers[3].json()["error"]
    assert (limit["type"], limit["plan_type"], limit["resets_at"]) == ("usage_limit_reached", "plus", 123)


async def test_a_failure_inside_200_ends_the_stream(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.script(fake.failed("context_length_exceeded", "too long", "Hel"), fake.error_event("rate_limit_exceeded"))
    first, second = await turn(client), await turn(client)
    assert types(first)[-1] == "failed"
    assert first[-1]["response"]["id"] == "resp-1"
    assert first[-1]["response"]["error"] == {"code": "context_length_exceeded", "message": "too long"}
    assert types(second) == ["created", "error"]
    assert second[-1]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("chunks", [(), ("Hel",), ("Hel", "lo")])
async def test_a_cut_stream_ends_after_its_deltas(
    backend: FakeBackend, client: httpx.AsyncClient, chunks: tuple[str, ...]
) -> None:
    backend.script(fake.cut(*chunks))
    received: list[str] = []
    async with client.stream("POST", "/v1/responses", json=HELLO, headers=BEARER) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            await collect(answer, received)
    text = "".join(received)
    assert deltas(events(text)) == list(chunks)
    assert "completed" not in text


async def collect(answer: httpx.Response, into: list[str]) -> None:
    async for text in answer.aiter_text():
        into.append(text)  # noqa: PERF401 - what came before the failure must be kept


async def test_an_unfinished_stream_ends_properly_but_without_a_last_event(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.script(fake.Stream((fake.Message(("Hel",)),), unfinished=True))
    assert types(await turn(client))[-1] == "output_item.done"


async def test_keep_alives_are_comments(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.script(fake.Stream((fake.Message(("Hi",)),), keep_alive=True, delay=0.001))
    answer = await client.post("/v1/responses", json=HELLO, headers=BEARER)
    assert answer.text.count(": keep-alive\n\n") == len(events(answer.text)) == 5


async def test_a_stalled_stream_goes_on_once_released(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    gate = fake.Gate()
    backend.script(fake.stalled(gate, "Hel"))
    async with client.stream("POST", "/v1/responses", json=HELLO, headers=BEARER) as answer:
        lines = answer.aiter_text()
        received = ""
        while "delta" not in received:
            received += await anext(lines)
        await gate.reached.wait()
        gate.release()
        received += "".join([text async for text in lines])
    assert types(events(received))[-1] == "completed"


async def test_the_gate_tells_when_the_client_hangs_up(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    gate = fake.Gate()
    backend.script(fake.stalled(gate))
    async with client.stream("POST", "/v1/responses", json=HELLO, headers=BEARER):
        await gate.reached.wait()
        assert not gate.abandoned.is_set
    await gate.abandoned.wait()


async def test_streams_carry_rate_limit_headers_that_can_be_changed(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.model.headers["x-codex-primary-used-percent"] = "99"
    backend.script(fake.Stream(headers={"x-codex-credits-unlimited": "true"}))
    answer = await client.post("/v1/responses", json=HELLO, headers=BEARER)
    assert answer.headers["x-codex-primary-used-percent"] == "99"
    assert answer.headers["x-codex-secondary-window-minutes"] == "10080"
    assert answer.headers["x-codex-credits-unlimited"] == "true"


async def test_expired_tokens_get_401_and_leave_the_script_untouched(
    backend: FakeBackend, client: httpx.AsyncClient
) -> None:
    backend.script(fake.text("still here"))
    old = backend.grant()
    backend.expire_access_tokens()
    new = backend.grant()
    headers: list[dict[str, str]] = [{"authorization": f"Bearer {it.access_token}"} for it in (old, new)]
    answers = [await client.post("/v1/responses", json=HELLO, headers=it) for it in ({}, *headers)]
    assert [it.status_code for it in answers] == [401, 401, 200]
    assert backend.model.unplayed == 0


@pytest.mark.parametrize("path", ["/models", "/v1/models", "/backend-api/codex/models"])
async def test_the_model_list_is_what_the_test_says(backend: FakeBackend, client: httpx.AsyncClient, path: str) -> None:
    backend.model.models = {"models": [{"slug": "m-1"}]}
    assert (await client.get(path, headers=BEARER)).json() == {"models": [{"slug": "m-1"}]}
    assert (await client.get(path)).status_code == 401


async def test_a_turn_that_is_not_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/responses", content=b"{", headers=BEARER)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_usage_has_two_windows_and_can_be_changed(backend: FakeBackend, client: httpx.AsyncClient) -> None:
    backend.model.usage["plan_type"] = "team"
    answer = (await client.get(f"{backend.chatgpt_base_url}/wham/usage", headers=BEARER)).json()
    assert answer["plan_type"] == "team"
    assert answer["rate_limit"]["primary_window"].keys() >= {
        "used_percent",
        "limit_window_seconds",
        "reset_at",
    }
