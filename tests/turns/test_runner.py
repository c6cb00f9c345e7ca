"""The rounds of a turn: answers, tools, steering, and faults of the backend, with the model faked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.errors import BackendError
from appserver.llm.events import stream_cut
from appserver.turns import runner as runners
from tests.turns.fakes import Client, Stage, Stream, answer, call, delta, message, opened, said, text_result, words

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

CUT = stream_cut("test")


def overloaded(retry_after: float | None = None) -> BackendError:
    error = BackendError("busy", "serverOverloaded", status=503, retryable=True)
    error.retry_after = retry_after
    return error


async def test_one_answer_is_one_round() -> None:
    stage = Stage(answer(opened("m"), delta("m", "Hi"), message("m", "Hi")))
    await stage.run()
    assert [item["type"] for item in stage.told.items()] == ["userMessage", "agentMessage"]
    assert stage.told.of("thread/tokenUsage/updated")[0]["tokenUsage"]["total"]["totalTokens"] == 15
    assert words(stage.model.inputs[0]) == ["user: Hello"]


async def test_a_tool_call_starts_a_second_round_with_its_output() -> None:
    stage = Stage(answer(call()), answer(message("m", "ok")))
    await stage.run()
    assert words(stage.model.inputs[1]) == ["user: Hello", "call c1", "output c1: done"]
    assert stage.told.of("thread/tokenUsage/updated")[-1]["tokenUsage"]["total"]["totalTokens"] == 30


async def test_the_usage_of_a_round_is_told_after_its_tools() -> None:
    stage = Stage(answer(call()), answer())
    await stage.run()
    methods = stage.told.methods
    last_item = len(methods) - 1 - methods[::-1].index("item/completed")
    assert last_item < methods.index("thread/tokenUsage/updated")


async def test_rounds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "MAX_ROUNDS", 3)
    stage = Stage(*(answer(call(f"c{number}")) for number in range(5)))
    with pytest.raises(BackendError, match="3 rounds"):
        await stage.run()
    assert len(stage.model.requests) == 3


async def test_a_steered_message_cuts_the_answer_and_is_heard_next() -> None:
    stream = Stream([opened("m"), delta("m", "Half"), anyio.Event()])
    stage = Stage(stream, answer(message("n", "Right")))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.run)
        await stream.stands.wait()
        stage.inbox.put(said("no, left"))
    assert words(stage.model.inputs[1]) == ["user: Hello", "assistant: Half", "user: no, left"]
    assert stream.closed
    texts = [item["text"] for item in stage.told.items() if item["type"] == "agentMessage"]
    assert texts == ["Half", "Right"]


async def test_a_message_steered_in_before_the_model_answers_cuts_nothing_off() -> None:
    stage = Stage(answer(message("m", "ok")))
    stage.inbox.put(said("and this"))
    await stage.run()
    assert words(stage.model.inputs[0]) == ["user: Hello", "user: and this"]


async def test_a_message_that_comes_with_the_last_event_is_answered() -> None:
    late = iter([True])

    async def drain(thread_id: str) -> None:
        if next(late, False):
            stage.inbox.put(said("one more"))

    stage = Stage(answer(message("m", "first")), answer(message("n", "second")))
    stage.runner = replace(stage.runner, drain=drain)
    await stage.run()
    assert words(stage.model.inputs[1]) == ["user: Hello", "assistant: first", "user: one more"]


async def test_a_message_steered_in_during_a_tool_call_waits_for_its_output() -> None:
    goes = anyio.Event()

    async def slow(_: object) -> dict[str, Any]:
        await goes.wait()
        return text_result("slow")

    stage = Stage(answer(call()), answer(), client=Client(slow))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.run)
        await stage.client.asked.wait()
        stage.inbox.put(said("hurry"))
        goes.set()
    assert words(stage.model.inputs[1]) == ["user: Hello", "call c1", "output c1: slow", "user: hurry"]


async def test_what_was_steered_into_a_turn_that_fails_is_kept() -> None:
    stage = Stage(BackendError("no"))
    stage.model.on_request = lambda: stage.inbox.put(said("wait"))
    with pytest.raises(BackendError):
        await stage.run()
    assert words(stage.thread.history) == ["user: Hello", "user: wait"]


@pytest.mark.parametrize("make", [overloaded, lambda: CUT])
async def test_a_failed_request_is_sent_again(make: Callable[[], BackendError]) -> None:
    stage = Stage(make(), make(), answer(message("m", "ok")))
    await stage.run()
    assert stage.naps == [0.2, 0.4]
    errors = stage.told.of("error")
    assert [one["willRetry"] for one in errors] == [True, True]
    assert errors[0]["error"]["message"] == "Reconnecting... 1/4"
    assert errors[1]["error"]["message"] == "Reconnecting... 2/4"


async def test_a_failed_request_gives_up_after_the_configured_retries() -> None:
    stage = Stage(*(overloaded() for _ in range(9)), request_max_retries=2)
    with pytest.raises(BackendError, match="busy"):
        await stage.run()
    assert len(stage.model.requests) == 3


async def test_a_cut_stream_gives_up_after_the_configured_retries() -> None:
    stage = Stage(*(Stream([opened("m"), CUT]) for _ in range(9)), stream_max_retries=3)
    with pytest.raises(BackendError):
        await stage.run()
    assert len(stage.model.requests) == 4


async def test_a_stream_that_ends_without_its_last_event_was_cut() -> None:
    stage = Stage(Stream([delta("m", "Hal")]), answer(message("n", "Whole")))
    await stage.run()
    error = stage.told.of("error")[0]["error"]
    assert error["codexErrorInfo"] == {"responseStreamDisconnected": {"httpStatusCode": None}}
    assert "closed" in error["additionalDetails"]


async def test_the_partial_message_of_a_cut_stream_is_dropped() -> None:
    stage = Stage(Stream([opened("m"), delta("m", "Hal"), CUT]), answer(message("n", "Whole")))
    await stage.run()
    assert words(stage.model.inputs[1]) == ["user: Hello"]
    assert [item["id"] for item in stage.told.items() if item["type"] == "agentMessage"] == ["n"]


async def test_finished_items_and_tool_work_survive_a_cut() -> None:
    stage = Stage(Stream([message("m", "Let me see"), call(), CUT]), answer(message("n", "Found")))
    await stage.run()
    expected = ["user: Hello", "assistant: Let me see", "call c1", "output c1: done"]
    assert words(stage.model.inputs[1]) == expected
    assert len(stage.client.calls) == 1


async def test_a_failure_that_no_retry_helps_ends_the_turn_and_its_tools_at_once() -> None:
    async def never(_: object) -> None:
        await anyio.sleep_forever()

    limit = BackendError("used up", "usageLimitExceeded", status=429)
    stage = Stage(Stream([call(), limit]), client=Client(never))
    with pytest.raises(BackendError, match="used up"):
        await stage.run()
    assert not stage.naps
    failed = stage.told.items()[-1]
    assert (failed["type"], failed["status"], failed["success"]) == ("dynamicToolCall", "failed", False)


async def test_the_backend_says_how_long_to_wait() -> None:
    stage = Stage(overloaded(retry_after=3), answer())
    await stage.run()
    assert stage.naps == [3.2]


async def test_a_wait_that_is_too_long_is_a_failure() -> None:
    stage = Stage(overloaded(retry_after=3600))
    with pytest.raises(BackendError):
        await stage.run()
    assert not stage.naps


async def test_the_retries_of_one_round_do_not_count_for_the_next() -> None:
    replies: list[Stream | Exception] = [
        overloaded(),
        answer(call("c1")),
        overloaded(),
        answer(call("c2")),
        overloaded(),
        answer(),
    ]
    stage = Stage(*replies, request_max_retries=1)
    await stage.run()
    assert stage.naps == [0.2, 0.2, 0.2]


async def test_rate_limits_are_told_of_a_refusal_too() -> None:
    limit = BackendError("used up", "usageLimitExceeded", status=429)
    limit.headers = {"x-codex-primary-used-percent": "100"}
    stage = Stage(limit)
    with pytest.raises(BackendError):
        await stage.run()
    assert stage.told.of("account/rateLimits/updated")[0]["rateLimits"]["primary"]["usedPercent"] == 100


async def test_an_interrupt_keeps_what_was_seen_of_a_message() -> None:
    stream = Stream([opened("m"), delta("m", "Half"), anyio.Event()])
    stage = Stage(stream)
    async with anyio.create_task_group() as group:
        group.start_soon(stage.run)
        await stream.stands.wait()
        group.cancel_scope.cancel()
    assert words(stage.thread.history) == ["user: Hello", "assistant: Half"]
    assert stream.closed


async def test_an_interrupt_during_a_tool_call_answers_the_call_for_the_model() -> None:
    async def never(_: object) -> None:
        await anyio.sleep_forever()

    stage = Stage(answer(call()), client=Client(never))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.run)
        await stage.client.asked.wait()
        group.cancel_scope.cancel()
    output = "dynamic tool call was cancelled before receiving a response"
    assert words(stage.thread.history) == ["user: Hello", "call c1", f"output c1: {output}"]
    assert stage.told.items()[-1]["status"] == "failed"
    assert stage.thread.usage["totalTokens"] == 15
