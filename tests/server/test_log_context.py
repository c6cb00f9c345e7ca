"""Every line that is logged while a request is answered or a turn runs says which, however deep it is logged."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.log_json import JsonFormatter
from appserver.request_context import RequestContext, current_context
from appserver.settings import load_settings
from appserver.tasks import Tasks
from appserver.worker import Worker
from tests.peer import house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

Line = dict[str, Any]


class Lines(logging.Handler):
    """Every line, as JSON says it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter(str))
        self.told: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(json.loads(self.format(record)))

    def with_text(self, text: str) -> Line:
        """Return the one line that has this text in its message."""
        (found,) = [line for line in self.told if text in line["message"]]
        return found


@pytest.fixture
def logged() -> Iterator[Lines]:
    lines, root = Lines(), logging.getLogger()
    root.addHandler(lines)
    yield lines
    root.removeHandler(lines)


def break_down(*_: Any, **__: Any) -> None:  # noqa: ANN401 - takes the place of any method
    raise RuntimeError("a fault")


def belongs(line: Line) -> Line:
    return {name: line[name] for name in ("connection", "requestId", "threadId", "turnId") if name in line}


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_request_that_is_answered_at_once(
    server: ServerFactory, logged: Lines, monkeypatch: pytest.MonkeyPatch, is_batch: bool
) -> None:
    monkeypatch.setattr("appserver.handlers.thread_list.loaded_list", break_down)
    async with server() as peer:
        request = {"id": "one", "method": "thread/loaded/list", "params": {"threadId": "thread-1"}}
        await peer.send([request] if is_batch else request)
        await peer.wait(lambda message: message.get("id") == "one")
    line = logged.with_text("unexpected error while answering a request")
    assert belongs(line) == {"connection": 1, "requestId": "one", "threadId": "thread-1"}


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_request_that_waits(
    server: ServerFactory, backend: FakeBackend, logged: Lines, monkeypatch: pytest.MonkeyPatch, is_batch: bool
) -> None:
    monkeypatch.setattr("appserver.llm.account_api.AccountApi.limits", break_down)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        request = {"id": 77, "method": "account/rateLimits/read"}
        await peer.send([request] if is_batch else request)
        await peer.wait(lambda message: message.get("id") == 77)
    assert belongs(logged.with_text("unexpected error while answering")) == {"connection": 1, "requestId": 77}


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_turn_and_the_request_that_has_started_it(
    server: ServerFactory, backend: FakeBackend, logged: Lines, monkeypatch: pytest.MonkeyPatch, is_batch: bool
) -> None:
    monkeypatch.setattr("appserver.llm.client.ModelClient.open", break_down)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        params = {"threadId": thread_id, "input": [{"type": "text", "text": "Hello"}]}
        request = {"id": "start", "method": "turn/start", "params": params}
        await peer.send([request] if is_batch else request)
        turn_id = (await peer.notification("turn/completed"))["turn"]["id"]
    assert belongs(logged.with_text("a turn failed unexpectedly")) == {
        "connection": 1,
        "requestId": "start",
        "threadId": thread_id,
        "turnId": turn_id,
    }


async def test_a_task_that_was_started_before_the_event_loop_runs_in_its_callers_context() -> None:
    tasks, found = Tasks(), []

    async def look() -> None:
        found.append(current_context.get().request)

    outer = current_context.set(RequestContext(request="early"))
    tasks.start(look)
    current_context.reset(outer)
    async with anyio.create_task_group() as group:
        tasks.open(group)
    assert found == ["early"]


async def test_a_worker_runs_a_call_in_its_callers_context(logged: Lines) -> None:
    current_context.set(RequestContext(request="one"))
    worker = Worker("tests")
    await worker.run(logging.warning, "off the loop")
    worker.close()
    assert belongs(logged.with_text("off the loop")) == {"requestId": "one"}


async def test_the_connections_of_a_server_are_told_apart(backend: FakeBackend, home: Path, logged: Lines) -> None:
    settings = load_settings(backend.environ(home))
    async with house(settings) as running, running.client() as one, running.client() as other:
        for peer, reply in ((one, "of the first"), (other, "of the second")):
            await peer.send({"id": reply, "result": {}})
            await peer.result("account/read")
    found = [belongs(logged.with_text(reply))["connection"] for reply in ("of the first", "of the second")]
    assert found == [1, 2]
