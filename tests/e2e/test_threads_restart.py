"""A thread outlives the process that ran it: the next one sends the model the whole conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Gate, stalled

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio


def said(backend: FakeBackend) -> list[tuple[str, str]]:
    """Return who said what in the last request."""
    body: Any = backend.requests.to("/v1/responses")[-1].json()
    return [(item["role"], part["text"]) for item in body["input"] for part in item["content"]]


async def test_a_resume_after_a_restart_sends_the_whole_history(process: ServerFactory, backend: FakeBackend) -> None:
    async with process() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        thread_id = await peer.start_thread()
        await peer.turn(thread_id, "one")
        await peer.turn(thread_id, "two")
    async with process() as peer:
        turns = (await peer.result("thread/resume", {"threadId": thread_id}))["thread"]["turns"]
        assert [turn["status"] for turn in turns] == ["completed", "completed"]
        await peer.turn(thread_id, "three")
    assert said(backend) == [
        ("user", "one"),
        ("assistant", "You said: one"),
        ("user", "two"),
        ("assistant", "You said: two"),
        ("user", "three"),
    ]


async def test_a_turn_that_runs_is_not_cut_off_by_a_second_process_that_looks(
    process: ServerFactory, backend: FakeBackend
) -> None:
    gate = Gate()
    async with process() as first, process() as second:
        await first.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        thread_id = await first.start_thread()
        backend.model.script(stalled(gate, "well"))
        turn_id = await first.start_turn(thread_id, "go")
        await first.notification("item/agentMessage/delta")
        turns = (await second.result("thread/resume", {"threadId": thread_id}))["thread"]["turns"]
        assert [turn["status"] for turn in turns] == ["inProgress"]
        refused = await second.error("turn/start", {"threadId": thread_id, "input": [{"type": "text", "text": "me"}]})
        assert refused["data"] == {"kind": "threadBusy", "activeTurnId": turn_id}
        gate.release()
        assert (await first.finished_turn(turn_id))["status"] == "completed"
        await second.turn(thread_id, "more")
    assert said(backend) == [("user", "go"), ("assistant", "well"), ("user", "more")]
