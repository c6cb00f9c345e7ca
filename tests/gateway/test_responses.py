"""The Responses API and the models through the gateway, as OpenAI's own client sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import openai
import pytest

from appserver.testing import FunctionCall, Message, RawItem, Stream, cut, failed, output, text

if TYPE_CHECKING:
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio


async def test_a_response_is_assembled_from_the_stream(api: Running) -> None:
    api.backend.script(output(Message(("Hello", " world")), FunctionCall("f", "{}")))
    response = await api.client.responses.create(model="gpt-6-sol", input="Hi", instructions="Be brief.")
    assert response.output_text == "Hello world"
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert response.usage is not None
    assert response.usage.total_tokens == 15
    assert {name: api.body[name] for name in ("input", "instructions", "stream")} == {
        "input": "Hi",
        "instructions": "Be brief.",
        "stream": True,
    }


async def test_interleaved_items_have_the_order_of_the_output(api: Running) -> None:
    items = (FunctionCall("f", "12345678", "call-a", piece=1), Message(("Hi",)))
    api.backend.script(Stream(items, interleaved=True))
    response = await api.client.responses.create(model="m", input="Hi")
    assert [item.type for item in response.output] == ["function_call", "message"]


async def test_the_events_of_the_backend_are_passed_on(api: Running) -> None:
    api.backend.script(text("Hello", " world"))
    kinds, said = [], ""
    async for event in await api.client.responses.create(model="gpt-6-sol", input="Hi", stream=True):
        kinds.append(event.type)
        said += event.delta if event.type == "response.output_text.delta" else ""
    assert said == "Hello world"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


async def test_events_about_the_quota_are_not_passed_on(api: Running) -> None:
    ending = {"type": "codex.rate_limits", "response": {"status": "x"}}
    api.backend.script(Stream((Message(("Hi",)),), ending=ending))
    answer = await api.http.post("/v1/responses", json={"model": "m", "input": "Hi", "stream": True})
    assert "codex" not in answer.text


async def test_a_failure_before_the_first_token_is_a_status(api: Running) -> None:
    api.backend.script(failed("rate_limit_exceeded"), failed("rate_limit_exceeded"))
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError):
            await api.client.responses.create(model="m", input="Hi", stream=stream)


async def test_a_failure_after_it_is_the_backends_own_event(api: Running) -> None:
    api.backend.script(failed("server_error", "It broke.", "Hel"))
    events = [event async for event in await api.client.responses.create(model="m", input="Hi", stream=True)]
    assert events[-1].type == "response.failed"


async def test_a_stream_that_breaks_is_an_error_and_no_end(api: Running) -> None:
    api.backend.script(cut("Hel"))
    with pytest.raises(openai.APIError, match="stream ended"):
        async for _ in await api.client.responses.create(model="m", input="Hi", stream=True):
            pass


async def test_items_of_any_kind_come_whole(api: Running) -> None:
    item = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
    api.backend.script(output(RawItem(item)))
    answer = await api.http.post("/v1/responses", json={"model": "m", "input": [], "tools": [{"type": "web_search"}]})
    assert answer.json()["output"] == [{"id": "resp-1-item-0", **item}]
    assert api.body["tools"] == [{"type": "web_search"}]


async def test_what_chatgpt_refuses_is_left_out_and_named(chatgpt: Running) -> None:
    items = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    answer = await chatgpt.http.post(
        "/v1/responses",
        json={"model": "m", "input": items, "temperature": 1, "max_output_tokens": 16, "background": True},
    )
    dropped = answer.headers["x-gateway-dropped-params"].split(",")
    assert sorted(dropped) == ["background", "max_output_tokens", "temperature"]
    assert [item["role"] for item in chatgpt.body["input"]] == ["developer", "user"]
    assert (chatgpt.body["store"], chatgpt.body["stream"]) == (False, True)


async def test_what_chatgpt_has_not_stored_cannot_be_gone_on_from(chatgpt: Running) -> None:
    with pytest.raises(openai.BadRequestError, match="send the whole input") as caught:
        await chatgpt.client.responses.create(model="m", input="Hi", previous_response_id="resp-1")
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({}, "model"),
        ({"model": 5}, "model"),
        ({"model": "m", "input": 5}, "input"),
        ({"model": "m", "stream": 1}, "stream"),
    ],
)
async def test_a_malformed_request_is_refused(api: Running, request_: dict[str, object], param: str) -> None:
    answer = await api.http.post("/v1/responses", content=json.dumps(request_))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_the_models_are_listed(api: Running) -> None:
    ids = [model.id async for model in api.client.models.list()]
    assert "fake-model" in ids
    assert (await api.client.models.retrieve("fake-model")).owned_by == "openai"


async def test_a_model_that_is_not_known_is_not_found(api: Running) -> None:
    for name in ("nothing", "a/b"):
        with pytest.raises(openai.NotFoundError) as caught:
            await api.client.models.retrieve(name)
        assert caught.value.code == "model_not_found"
