"""Calls of the client's tools: what the client is asked, what the model reads, and what clients see of it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from appserver.errors import ClientError, ClientTimeout, InvalidParams
from appserver.threads.model_items import SILENT_FAILURE
from appserver.turns.tool_definitions import definitions
from tests.turns.fakes import Client, Stage, Stream, answer, call, text_result, words

pytestmark = pytest.mark.anyio


def outputs(stage: Stage) -> list[Any]:
    return [item["output"] for item in stage.thread.history if item["type"] == "function_call_output"]


async def test_the_client_is_asked_with_the_arguments_as_json() -> None:
    stage = Stage(answer(call()), answer())
    await stage.run()
    assert stage.client.calls == [
        {
            "threadId": stage.thread.id,
            "turnId": stage.turn.id,
            "callId": "c1",
            "namespace": None,
            "tool": "lookup",
            "arguments": {"id": 1},
        }
    ]


async def test_the_item_shows_the_call_from_its_start_to_its_end() -> None:
    stage = Stage(answer(call()), answer())
    await stage.run()
    begun, ended = stage.told.items("item/started")[-1], stage.told.items()[-1]
    assert (begun["status"], begun["contentItems"], begun["success"], begun["durationMs"]) == (
        "inProgress",
        None,
        None,
        None,
    )
    assert (ended["status"], ended["success"], ended["contentItems"]) == (
        "completed",
        True,
        [{"type": "inputText", "text": "done"}],
    )
    assert ended["durationMs"] >= 0


async def test_several_calls_run_side_by_side() -> None:
    together = anyio.Event()

    async def both(params: Any) -> dict[str, Any]:  # noqa: ANN401 - as the client gets them
        if len(stage.client.calls) == 2:
            together.set()
        await together.wait()
        return text_result(params["callId"])

    stage = Stage(answer(call("c1"), call("c2")), answer(), client=Client(both))
    await stage.run()
    assert sorted(words(stage.model.inputs[1])[-2:]) == ["output c1: c1", "output c2: c2"]


async def test_a_call_runs_while_the_model_goes_on_writing() -> None:
    asked = anyio.Event()

    async def note(_: object) -> dict[str, Any]:
        asked.set()
        return text_result("done")

    stage = Stage(answer(call(), asked), answer(), client=Client(note))
    await stage.run()
    assert outputs(stage) == ["done"]


@pytest.mark.parametrize(
    "failure",
    [
        ClientError("item/tool/call failed: no such ticket (code=1)"),
        ClientTimeout("item/tool/call timed out after 7s"),
        InvalidParams("Invalid result of item/tool/call: success: Field required"),
    ],
)
async def test_a_client_that_cannot_answer_gets_a_failed_call(failure: ClientError) -> None:
    async def fail(_: object) -> None:
        raise failure

    stage = Stage(answer(call()), answer(), client=Client(fail))
    await stage.run()
    item = stage.told.items()[-1]
    assert (item["status"], item["success"]) == ("failed", False)
    assert outputs(stage) == [failure.message]


async def test_the_model_reads_the_content_of_a_failure() -> None:
    async def fail(_: object) -> dict[str, Any]:
        return text_result("not found", success=False)

    stage = Stage(answer(call()), answer(), client=Client(fail))
    await stage.run()
    assert outputs(stage) == ["not found"]
    assert stage.told.items()[-1]["status"] == "failed"


@pytest.mark.parametrize(("success", "read"), [(True, ""), (False, SILENT_FAILURE)])
async def test_a_result_without_content_is_an_output_too(success: bool, read: str) -> None:
    async def nothing(_: object) -> dict[str, Any]:
        return {"contentItems": [], "success": success}

    stage = Stage(answer(call()), answer(), client=Client(nothing))
    await stage.run()
    assert outputs(stage) == [read]


async def test_pictures_and_several_texts_are_a_list() -> None:
    async def rich(_: object) -> dict[str, Any]:
        content = [{"type": "inputText", "text": "a"}, {"type": "inputImage", "imageUrl": "data:image/png;base64,AA"}]
        return {"contentItems": content, "success": True}

    stage = Stage(answer(call()), answer(), client=Client(rich))
    await stage.run()
    assert outputs(stage) == [
        [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:image/png;base64,AA"}]
    ]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (call(name="unknown"), "unsupported call: unknown"),
        (call(namespace="tickets"), "unsupported call: lookup"),
        (call(arguments="{bad"), "failed to parse function arguments"),
        (call(arguments='{"x": NaN}'), "failed to parse function arguments: NaN is not JSON"),
        (call(arguments='{"x": 1e999}'), "failed to parse function arguments: a number is out of range"),
        (call(arguments='{"x": ' * 200 + "1" + "}" * 200), "failed to parse function arguments: nested more than"),
        (call(arguments=["no text"]), "failed to parse function arguments"),
    ],
)
async def test_a_call_that_cannot_be_carried_out_is_answered_without_the_client(made: Any, told: str) -> None:  # noqa: ANN401
    stage = Stage(answer(made), answer())
    await stage.run()
    assert outputs(stage)[0].startswith(told)
    assert not stage.client.calls
    assert "dynamicToolCall" not in [item["type"] for item in stage.told.items("item/started")]


@pytest.mark.parametrize("made", [call(call_id=None), call(name=None)])
async def test_a_call_that_cannot_be_answered_is_passed_over(made: Any) -> None:  # noqa: ANN401
    stage = Stage(answer(made))
    await stage.run()
    assert words(stage.thread.history) == ["user: Hello"]


async def test_tools_of_a_namespace_are_called_by_both_names() -> None:
    stage = Stage(answer(call(namespace="tickets")), answer())
    inner: Any = {"type": "function", "name": "lookup", "description": "d", "inputSchema": {"type": "object"}}
    tools: Any = [{"type": "namespace", "name": "tickets", "description": "n", "tools": [inner]}]
    stage.thread.choose({"tools": tools})
    await stage.run()
    assert (stage.client.calls[0]["namespace"], stage.client.calls[0]["tool"]) == ("tickets", "lookup")
    assert definitions(tools)[0]["tools"][0]["parameters"] == {"type": "object"}


async def test_a_fault_of_ours_in_a_call_fails_the_turn_and_ends_the_item() -> None:
    async def broken(_: object) -> None:
        raise KeyError

    stage = Stage(Stream([call(), anyio.Event()]), client=Client(broken))
    with pytest.raises(ExceptionGroup):
        await stage.run()
    assert stage.told.items()[-1]["status"] == "failed"


async def test_a_call_that_a_killed_process_left_open_is_answered_in_the_next_request() -> None:
    stage = Stage(answer())
    output = {"type": "function_call_output", "call_id": "c2", "output": "x"}
    stage.thread.history = [call("c1")["item"], call("c2")["item"], output]
    await stage.run()
    assert words(stage.model.inputs[0]) == ["call c1", "output c1: aborted", "call c2", "output c2: x", "user: Hello"]
