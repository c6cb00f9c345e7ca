"""What a handler returns decides how its request is answered, and nothing that it returns or raises ends anything."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.rpc import in_flight
from appserver.rpc.router import Accepted, Reply
from tests.rpc.rig import INLINE, STRICT, WAITING, Message, Rig, request, waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from appserver.rpc.router import Handler

pytestmark = pytest.mark.anyio

INTERNAL = {"code": -32603, "message": "Internal error"}


def deep() -> object:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("not even that")


@pytest.mark.parametrize("params", [None, [], {}, [1], {"unknown": 1}, [[]], ["refreshToken"]])
async def test_a_handler_that_waits_is_awaited_whatever_the_params_are(params: object) -> None:
    rig = Rig()
    rig.gate.set()
    async with rig.running():
        rig.feed({"id": 1, "method": WAITING, "params": params}, [{"id": 2, "method": WAITING, "params": params}])
        assert await rig.answer(1) == {"id": 1, "result": {"waited": {}}}
        assert await rig.batch() == [{"id": 2, "result": {"waited": {}}}]


async def test_one_method_is_answered_at_once_or_in_a_task_as_its_handler_returns() -> None:
    def read(params: Message) -> Message | Awaitable[Message]:
        async def refreshed() -> Message:
            return {"refreshed": True}

        return refreshed() if params.get("refreshToken") else {"refreshed": False}

    rig = Rig({INLINE: read})
    assert rig.ask(request(1))["result"] == {"refreshed": False}
    rig.feed(request(2, INLINE, {"refreshToken": True}))
    assert rig.tasks.waiting
    async with rig.running():
        assert (await rig.answer(2))["result"] == {"refreshed": True}


async def test_a_handler_is_called_once_and_what_it_has_begun_is_awaited() -> None:
    calls: list[str] = []

    def begin(_: object) -> Awaitable[object]:
        async def rest() -> Message:
            calls.append("ended")
            return {}

        calls.append("begun")
        return rest()

    rig = Rig({WAITING: begin})
    async with rig.running():
        rig.feed(request(1, WAITING))
        assert calls == ["begun"]  # when its line was read, not when its task came to run
        await rig.answer(1)
        assert calls == ["begun", "ended"]


async def test_what_has_been_accepted_is_awaited_under_any_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", 0)
    effects: list[str] = []

    async def rest() -> Message:
        return {"ended": True}

    def begin(_: object) -> Awaitable[object]:
        effects.append("begun")
        return Accepted(rest())

    rig = Rig({WAITING: begin})
    async with rig.running():
        rig.feed(request(1, WAITING), [request(2, WAITING)])
        assert (await rig.answer(1))["result"] == {"ended": True}
        assert (await rig.batch())[0]["result"] == {"ended": True}
    assert effects == ["begun", "begun"]


async def test_what_has_been_refused_has_never_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", 0)
    begun: list[object] = []

    async def handle(params: object) -> None:
        begun.append(params)

    rig = Rig({WAITING: handle})
    async with rig.running():
        assert rig.ask(request(1, WAITING))["error"]["code"] == -32001
        rig.feed([request(2, WAITING)])
        assert (await rig.batch())[0]["error"]["code"] == -32001
    assert begun == []


def test_what_waits_for_a_loop_that_never_comes_is_closed() -> None:
    rig = Rig({STRICT: lambda _: Accepted(waiting(lambda _: {})({}))})  # type: ignore[arg-type]
    rig.feed(request(1, WAITING), request(2, STRICT, {"loginId": "x"}))
    assert rig.tasks.waiting
    rig.dispatcher.close()  # else Python warns that they were never awaited, which fails this test


@pytest.mark.parametrize(
    "result",
    [object(), {"x": {1, 2}}, b"bytes", {("a", "b"): 1}, deep(), Hostile(), {"x": Hostile()}],
    ids=["object", "set", "bytes", "key", "depth", "hostile", "hostile member"],
)
@pytest.mark.parametrize("as_reply", [False, True])
async def test_an_answer_that_cannot_be_encoded_is_an_internal_error_and_logged(
    result: object, as_reply: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sequels: list[int] = []

    def answer(_: object) -> object:
        return Reply(result, then=lambda: sequels.append(1)) if as_reply else result

    rig = Rig({INLINE: answer, WAITING: waiting(answer)})
    async with rig.running():
        assert rig.ask(request(1)) == {"id": 1, "error": INTERNAL}
        rig.feed(request(2, WAITING), [request(3), request(4, WAITING), request(5, STRICT, {"loginId": "x"})])
        assert await rig.answer(2) == {"id": 2, "error": INTERNAL}
        assert await rig.batch() == [
            {"id": 3, "error": INTERNAL},
            {"id": 4, "error": INTERNAL},
            {"id": 5, "result": {"status": "x"}},
        ]
    assert caplog.text.count("could not be encoded") == 4
    assert len(sequels) == (4 if as_reply else 0)  # what has happened is told all the same


@pytest.mark.parametrize(
    ("value", "sent"),
    [(math.nan, None), (math.inf, None), (-math.inf, None), ("\ud800", "\ud800"), ("\u2028", "\u2028"), (1e308, 1e308)],
)
async def test_what_leaves_is_json_that_any_parser_reads(value: object, sent: object) -> None:
    def answer(_: object) -> Message:
        return {"x": [value, {"y": value}], "z": 1.5}

    def refuse_constant(name: str) -> object:
        raise AssertionError(name)

    rig = Rig({INLINE: answer, WAITING: waiting(answer)})
    async with rig.running():
        rig.feed(request(1), request(2, WAITING), [request(3)])
        rig.parent.notify("account/updated", {"x": value})
        await rig.idle()
        lines = rig.outbox.take().splitlines()
    told = [json.loads(line, parse_constant=refuse_constant) for line in lines]
    results = [one["result"] for one in (told[0], told[2], told[3][0])]
    assert results == [{"x": [sent, {"y": sent}], "z": 1.5}] * 3
    assert told[1]["params"] == {"x": sent}


def test_a_notification_that_cannot_be_encoded_is_dropped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.parent.notify("account/updated", {"x": object()})
    rig.parent.notify("account/updated", {"x": 1})
    assert [one["params"] for one in rig.taken()] == [{"x": 1}]
    assert "could not be encoded" in caplog.text


@pytest.mark.parametrize("error", [LookupError("what went wrong"), RecursionError(), MemoryError(), AssertionError()])
async def test_whatever_a_handler_raises_costs_one_request(error: Exception) -> None:
    def fail(_: object) -> object:
        raise error

    handlers: dict[str, Handler] = {INLINE: fail, WAITING: waiting(fail)}
    rig = Rig(handlers)
    async with rig.running():
        assert rig.ask(request(1)) == {"id": 1, "error": INTERNAL}
        rig.feed(request(2, WAITING), [request(3), request(4, WAITING)])
        assert await rig.answer(2) == {"id": 2, "error": INTERNAL}
        assert [one["error"] for one in await rig.batch()] == [INTERNAL] * 2
        with anyio.fail_after(1):
            await rig.idle()
