"""Chat Completions through the gateway, as OpenAI's own client sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from appserver.testing import (
    CustomToolCall,
    FunctionCall,
    Gate,
    RawItem,
    Refusal,
    Stream,
    incomplete,
    message,
    output,
    stalled,
    text,
)

if TYPE_CHECKING:
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def chunks_of(stream: Any) -> list[Any]:  # noqa: ANN401 - the client's chunks
    return [chunk async for chunk in stream]


def content_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_an_answer_comes_whole(api: Running) -> None:
    api.backend.script(text("Hello", " world"))
    completion = await api.chat("Hi")
    assert completion.object == "chat.completion"
    assert completion.model == "gpt-6-sol"
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello world")
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert api.body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    ]


async def test_an_answer_comes_in_chunks_of_one_completion(api: Running) -> None:
    api.backend.script(text("Hello", " world"))
    chunks = await chunks_of(await api.chat(stream=True))
    assert content_of(chunks) == "Hello world"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_token_is_with_the_client_before_the_backend_sends_the_next(api: Running) -> None:
    gate = Gate()
    api.backend.script(stalled(gate, "Hel"))
    stream = await api.chat(stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    assert chunk.choices[0].delta.content == "Hel"
    assert not gate.released.is_set
    gate.release()
    await chunks_of(stream)


async def test_usage_is_told_when_it_is_asked_for(api: Running) -> None:
    whole = await api.chat()
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (10, 5, 15)
    assert whole.usage.prompt_tokens_details.cached_tokens == 2
    assert whole.usage.completion_tokens_details.reasoning_tokens == 1
    chunks = await chunks_of(await api.chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


async def test_instructions_stand_apart_from_the_conversation(api: Running) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "system", "content": "Be loud."},
        {"role": "user", "content": "Again"},
    ]
    await api.chat(messages=messages)
    assert api.body["instructions"] == "Be brief.\n\nBe kind."
    assert [item["role"] for item in api.body["input"]] == ["user", "assistant", "developer", "user"]
    assert api.body["input"][1]["content"] == [{"type": "output_text", "text": "Hello"}]


async def test_parallel_calls_come_whole(api: Running) -> None:
    calls = (FunctionCall("weather", '{"city":"Rome"}', "call-a"), FunctionCall("weather", '{"city":"Oslo"}', "call-b"))
    api.backend.script(output(message("Let me see."), *calls))
    completion = await api.chat(tools=[WEATHER], tool_choice="required", parallel_tool_calls=True)
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see."
    assert [(call.id, call.type, call.function.arguments) for call in choice.message.tool_calls] == [
        ("call-a", "function", '{"city":"Rome"}'),
        ("call-b", "function", '{"city":"Oslo"}'),
    ]
    [tool] = api.body["tools"]
    assert tool == {"type": "function", "strict": False, **WEATHER["function"]}  # type: ignore[dict-item]  # a dict
    assert (api.body["tool_choice"], api.body["parallel_tool_calls"]) == ("required", True)


async def test_interleaved_calls_are_told_apart(api: Running) -> None:
    calls = (
        FunctionCall("weather", '{"city":"Rome"}', "call-a", piece=3),
        FunctionCall("weather", '{"city":"Oslo, Norway"}', "call-b", piece=2),
        CustomToolCall("shell", "ls -l /tmp", "call-c", piece=4),
    )
    api.backend.script(Stream(calls, interleaved=True))
    found: dict[int, dict[str, str]] = {}
    order: list[int] = []
    async for chunk in await api.chat(stream=True, tools=[WEATHER]):
        for call in chunk.choices[0].delta.tool_calls or ():
            written = found.setdefault(call.index, {"id": call.id, "type": call.type, "text": ""})
            custom = (call.model_extra or {}).get("custom")
            written["text"] += custom["input"] if custom else call.function.arguments
            order.append(call.index)
    assert list(found.values()) == [
        {"id": "call-a", "type": "function", "text": '{"city":"Rome"}'},
        {"id": "call-b", "type": "function", "text": '{"city":"Oslo, Norway"}'},
        {"id": "call-c", "type": "custom", "text": "ls -l /tmp"},
    ]
    assert order != sorted(order)
    assert chunk.choices[0].finish_reason == "tool_calls"


async def test_results_of_tools_go_to_the_model(api: Running) -> None:
    function = {"id": "call-a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    custom = {"id": "call-b", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [function, custom]},
        {"role": "tool", "tool_call_id": "call-a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call-b", "content": [{"type": "text", "text": "a.txt"}]},
    ]
    await api.chat(messages=messages)
    assert api.body["input"][1:] == [
        {"type": "function_call", "call_id": "call-a", "name": "weather", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call-b", "name": "shell", "input": "ls"},
        {"type": "function_call_output", "call_id": "call-a", "output": "sunny"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call-b",
            "output": [{"type": "input_text", "text": "a.txt"}],
        },
    ]


async def test_custom_tools_take_free_text(api: Running) -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
    tool = {"type": "custom", "custom": {"name": "shell", "description": "Runs a command", "format": grammar}}
    api.backend.script(output(CustomToolCall("shell", "ls", "call-1")))
    choice = (await api.chat(tools=[tool], tool_choice={"type": "custom", "custom": {"name": "shell"}})).choices[0]
    [call] = choice.message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "shell", "ls")
    wanted = {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}
    assert api.body["tools"] == [
        {"type": "custom", "name": "shell", "description": "Runs a command", "format": wanted},
    ]
    assert api.body["tool_choice"] == {"type": "custom", "name": "shell"}


async def test_one_of_some_tools_can_be_allowed(api: Running) -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    await api.chat(tools=[WEATHER], tool_choice=choice)
    allowed = [{"type": "function", "name": "weather"}]
    assert api.body["tool_choice"] == {"type": "allowed_tools", "mode": "required", "tools": allowed}


async def test_images_and_files_go_to_the_model(api: Running) -> None:
    await api.chat(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ]
    )
    assert api.body["input"][0]["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]


class City(BaseModel):
    name: str
    people: int


async def test_an_answer_has_the_shape_that_was_asked_for(api: Running) -> None:
    api.backend.script(text('{"name":"Oslo",', '"people":717710}'))
    completion = await api.client.chat.completions.parse(
        model="gpt-6-sol", messages=[{"role": "user", "content": "Oslo?"}], response_format=City
    )
    assert completion.choices[0].message.parsed == City(name="Oslo", people=717710)
    wanted = api.body["text"]["format"]
    assert (wanted["type"], wanted["name"], wanted["strict"]) == ("json_schema", "City", True)
    assert wanted["schema"]["required"] == ["name", "people"]
    await api.chat(response_format={"type": "json_object"})
    assert api.body["text"] == {"format": {"type": "json_object"}}


async def test_the_settings_of_a_request_reach_the_model(api: Running) -> None:
    await api.chat(
        reasoning_effort="high",
        verbosity="low",
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=100,
        metadata={"a": "b"},
        prompt_cache_key="cache",
        safety_identifier="user-1",
        service_tier="flex",
        user="ada",
    )
    wanted = {
        "reasoning": {"effort": "high"},
        "text": {"verbosity": "low"},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "prompt_cache_key": "cache",
        "safety_identifier": "user-1",
        "service_tier": "flex",
        "user": "ada",
        "store": False,
        "stream": True,
    }
    assert {name: api.body[name] for name in wanted} == wanted


async def test_an_answer_ends_before_a_stop_sequence(api: Running) -> None:
    for stream in (False, True):
        api.backend.script(text("One. ", "Two. EN", "D. Three."))
        answer = await api.chat(stop=["END"], stream=stream)
        if stream:
            chunks = await chunks_of(answer)
            assert content_of(chunks) == "One. Two. "
            assert chunks[-1].choices[0].finish_reason == "stop"
        else:
            assert answer.choices[0].message.content == "One. Two. "
            assert answer.choices[0].finish_reason == "stop"
            assert answer.usage.total_tokens == 15


async def test_a_stop_sequence_ends_the_request_to_the_backend(api: Running) -> None:
    gate = Gate()
    api.backend.script(stalled(gate, "One. ", "END Two."))
    assert content_of(await chunks_of(await api.chat(stop="END", stream=True))) == "One. "
    await gate.abandoned.wait()


async def test_what_may_begin_a_stop_sequence_is_told_if_it_does_not(api: Running) -> None:
    api.backend.script(text("The EN"))
    assert content_of(await chunks_of(await api.chat(stop="END", stream=True))) == "The EN"


async def test_a_refusal_is_told_as_one(api: Running) -> None:
    api.backend.script(output(Refusal(("I will ", "not."))), output(Refusal(("I will ", "not."))))
    refused = (await api.chat()).choices[0].message
    assert (refused.content, refused.refusal) == (None, "I will not.")
    chunks = await chunks_of(await api.chat(stream=True))
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks) == "I will not."


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
async def test_an_incomplete_answer_says_why(api: Running, reason: str, finish: str) -> None:
    api.backend.script(incomplete(reason, "Hel"), incomplete(reason, "Hel"))
    choice = (await api.chat()).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hel", finish)
    chunks = await chunks_of(await api.chat(stream=True))
    assert content_of(chunks) == "Hel"
    assert chunks[-1].choices[0].finish_reason == finish


async def test_what_a_backend_does_not_stream_is_told_at_the_end_of_the_item(api: Running) -> None:
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    item = RawItem({"type": "message", "role": "assistant", "content": [part]})
    api.backend.script(output(item), output(item))
    assert (await api.chat()).choices[0].message.content == "Hello"
    assert content_of(await chunks_of(await api.chat(stream=True))) == "Hello"


async def test_citations_of_a_web_search_come_with_the_message(api: Running) -> None:
    cited = {"type": "url_citation", "url": "https://example.com", "title": "E", "start_index": 0, "end_index": 5}
    part = {"type": "output_text", "text": "Hello", "annotations": [cited]}
    api.backend.script(output(RawItem({"type": "message", "role": "assistant", "content": [part]})))
    [found] = (await api.chat(web_search_options={"search_context_size": "low"})).choices[0].message.annotations
    assert (found.url_citation.url, found.url_citation.end_index) == ("https://example.com", 5)
    assert api.body["tools"] == [{"type": "web_search", "search_context_size": "low"}]


async def test_parameters_without_a_counterpart_are_named(api: Running) -> None:
    answer = await api.client.chat.completions.with_raw_response.create(
        model="gpt-6-sol", messages=[{"role": "user", "content": "Hi"}], seed=1, logit_bias={"1": 1}, n=1
    )
    assert sorted(answer.headers["x-gateway-dropped-params"].split(",")) == ["logit_bias", "seed"]
    plain = await api.client.chat.completions.with_raw_response.create(
        model="gpt-6-sol", messages=[{"role": "user", "content": "Hi"}]
    )
    assert "x-gateway-dropped-params" not in plain.headers


async def test_parameters_that_chatgpt_refuses_are_named_as_the_caller_calls_them(chatgpt: Running) -> None:
    answer = await chatgpt.client.chat.completions.with_raw_response.create(
        model="gpt-6-sol",
        messages=[{"role": "user", "content": "Hi"}],
        temperature=0.2,
        max_tokens=20,
        store=True,
        verbosity="low",
    )
    assert sorted(answer.headers["x-gateway-dropped-params"].split(",")) == ["max_tokens", "store", "temperature"]
    assert "temperature" not in chatgpt.body
    assert chatgpt.body["store"] is False
    assert chatgpt.body["text"] == {"verbosity": "low"}
    assert chatgpt.body["instructions"]


async def test_a_parameter_that_a_model_does_not_have_is_left_out(api: Running) -> None:
    error = {"code": "unsupported_parameter", "param": "temperature", "message": "no", "type": "invalid_request_error"}
    api.backend.model.fail_next(400, {"error": error}, path=RESPONSES)
    api.backend.model.fail_next(400, {"detail": "Unsupported parameter: top_p"}, path=RESPONSES)
    answer = await api.client.chat.completions.with_raw_response.create(
        model="gpt-6-sol", messages=[{"role": "user", "content": "Hi"}], temperature=0.2, top_p=0.5
    )
    assert answer.headers["x-gateway-dropped-params"] == "temperature,top_p"
    assert not {"temperature", "top_p"} & set(api.body)


async def test_logprobs_are_asked_for(api: Running) -> None:
    await api.chat(logprobs=True, top_logprobs=2)
    assert api.body["include"] == ["message.output_text.logprobs"]
    assert api.body["top_logprobs"] == 2
    assert json.dumps(api.body)


RESPONSES = "/v1/responses"
