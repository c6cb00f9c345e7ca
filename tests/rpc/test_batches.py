from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.rpc import batches, in_flight
from appserver.rpc.router import Reply
from tests.rpc.rig import BOUND, INLINE, STRICT, WAITING, Message, Rig, code, request, waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.anyio


def by_id(answers: Iterable[Message]) -> dict[object, Message]:
    return {answer["id"]: answer for answer in answers}


async def test_every_request_of_a_batch_is_answered_in_one_array() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1), request("b", STRICT, {"loginId": "x"}), request(3, INLINE, {})])
        answers = by_id(await rig.batch())
    assert answers[1]["result"] == {"read": {}}
    assert answers["b"]["result"] == {"status": "x"}
    assert set(answers) == {1, "b", 3}


async def test_a_batch_of_one_is_answered_with_a_batch_of_one() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1)])
        assert await rig.batch() == [{"id": 1, "result": {"read": {}}}]


async def test_invalid_entries_get_an_error_each_and_notifications_none() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1), 5, [], [request(9)], {"id": 2}, {"method": "initialized"}, None, {"foo": "bar"}])
        answers = await rig.batch()
    assert [one["id"] for one in answers if "result" in one] == [1]
    refused = [one for one in answers if "error" in one]
    assert {code(one) for one in refused} == {-32600}
    assert sorted(one["id"] is None for one in refused) == [False, True, True, True, True, True]


async def test_a_batch_of_invalid_entries_only_is_refused_entry_by_entry() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([1, 2, {"id": 3}])
        answers = await rig.batch()
    assert [(one["id"], code(one)) for one in answers] == [(None, -32600), (None, -32600), (3, -32600)]


def test_an_empty_batch_is_one_invalid_request() -> None:
    answer = Rig().ask([])
    assert (answer["id"], code(answer)) == (None, -32600)


async def test_a_batch_of_notifications_has_no_answer() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([{"method": "initialized"}, {"method": "nonsense"}])
        await rig.idle()
    assert rig.taken() == []


async def test_errors_in_a_batch_are_those_of_single_requests() -> None:
    def fail(_: object) -> object:
        raise LookupError("what went wrong")

    rig = Rig({WAITING: waiting(fail)})
    async with rig.running():
        rig.feed([request(1, "nonsense"), request(2, STRICT, {}), request(3, WAITING), request(4, "initialize", {})])
        answers = by_id(await rig.batch())
    assert {name: code(one) for name, one in answers.items()} == {1: -32601, 2: -32602, 3: -32603, 4: -32600}
    assert answers[3]["error"] == {"code": -32603, "message": "Internal error"}
    assert "data" not in answers[1]["error"]


async def test_a_wire_parameter_may_have_any_name_also_those_of_the_dispatching() -> None:
    rig = Rig({INLINE: dict})
    async with rig.running():
        rig.feed([request(1, INLINE, {"refreshToken": False, "then": 1, "self": 2, "context": 3, "": 4, "1": 5})])
        assert (await rig.batch())[0]["result"] == {"refreshToken": False}


@pytest.mark.parametrize("params", [None, {}, []])
async def test_params_may_be_empty_or_null_in_a_batch(params: object) -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([{"id": 1, "method": INLINE, "params": params}])
        assert await rig.batch() == [{"id": 1, "result": {"read": {}}}]


async def test_positional_params_in_a_batch_are_invalid_params() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1, STRICT, ["secret-value"])])
        (answer,) = await rig.batch()
    assert code(answer) == -32602
    assert "secret-value" not in answer["error"]["message"]


async def test_a_reply_in_a_batch_finds_who_waits_for_it() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([{"id": 7, "result": {}}, {"id": "x", "error": "oops"}])
        await rig.idle()
    assert rig.taken() == []
    assert len(rig.warnings) == 2


async def test_a_batch_may_begin_the_session() -> None:
    rig = Rig(initialized=False)
    async with rig.running():
        rig.feed([request(1, "initialize", {}), {"method": "initialized"}, request(2)])
        answers = by_id(await rig.batch())
    assert answers[1]["result"] == {"hello": {}}
    assert answers[2]["result"] == {"read": {}}


@pytest.mark.parametrize("version", [True, False])
async def test_a_batch_is_answered_in_kind(version: bool) -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([{**request(1), **({"jsonrpc": "2.0"} if version else {})}, 5])
        answers = await rig.batch()
    assert len(answers) == 2
    assert all(("jsonrpc" in one) is version for one in answers)


async def test_two_requests_with_one_id_in_a_batch_are_both_answered() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1), request(1, STRICT, {"loginId": "x"})])
        answers = await rig.batch()
    assert [one["id"] for one in answers] == [1, 1]


async def test_a_batch_that_waits_delays_no_other_request() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed([request(1, WAITING), request(2)], request(3))
        assert await rig.answer(3)
        assert len(rig.sent) == 1
        rig.gate.set()
        assert {one["id"] for one in await rig.batch()} == {1, 2}


async def test_more_requests_in_a_batch_than_may_wait_are_refused_as_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", 3)
    rig = Rig()
    async with rig.running():
        rig.feed([*[request(number, WAITING) for number in range(5)], request("inline")])
        rig.gate.set()
        answers = by_id(await rig.batch())
    refused = sorted(str(name) for name, one in answers.items() if "error" in one)
    assert refused == ["3", "4"]
    assert code(answers[4]) == -32001
    assert answers["inline"]["result"] == {"read": {}}


async def test_a_long_batch_is_taken_in_slices_between_which_others_have_their_turn() -> None:
    begun: list[object] = []
    followed: list[int] = []
    entries = 20 * batches.SLICE_ENTRIES

    def begin(params: object) -> Reply:
        begun.append(params)
        return Reply({}, then=lambda: followed.append(1))

    async def steps(done: list[Any]) -> int:
        """Return how far it goes on at most between two moments at which others have their turn."""
        seen = [len(done)]
        while len(done) < entries:
            await anyio.lowlevel.checkpoint()
            seen.append(len(done))
        return max(later - earlier for earlier, later in pairwise(seen))

    rig = Rig({INLINE: begin})
    async with rig.running():
        with anyio.fail_after(BOUND):
            rig.feed([request(number) for number in range(entries)], request("after", "nonsense"))
            assert await rig.answer("after")
            assert begun == []  # what comes after a batch does not wait for it
            assert await steps(begun) <= batches.SLICE_ENTRIES
            assert await steps(followed) <= batches.SLICE_ENTRIES
        assert sorted(one["id"] for one in await rig.batch()) == list(range(entries))


async def test_what_follows_an_answer_happens_although_the_client_leaves_before_the_batch_is_answered() -> None:
    followed: list[int] = []
    rig = Rig({INLINE: lambda _: Reply({}, then=lambda: followed.append(1))})
    async with anyio.create_task_group() as group:
        rig.tasks.open(group)
        rig.feed([request(1), request(2, WAITING)])
        await anyio.wait_all_tasks_blocked()
        assert followed == []
        group.cancel_scope.cancel()
    assert followed == [1]


async def test_what_waits_in_a_slice_does_not_hold_up_the_next_one() -> None:
    rig = Rig()
    waits = [request(f"w{number}", WAITING) for number in range(batches.SLICE_ENTRIES)]
    async with rig.running():
        rig.feed([*waits, request("release", STRICT, {"loginId": "x"})])
        rig.routes[STRICT] = lambda _: rig.gate.set()  # else nothing ends the waiting
        assert len(await rig.batch()) == batches.SLICE_ENTRIES + 1


async def test_a_batch_with_too_many_entries_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_ENTRIES", 3)
    rig = Rig()
    refusal = rig.ask([request(number) for number in range(4)])
    assert (refusal["id"], code(refusal)) == (None, -32600)
    assert "4 entries" in refusal["error"]["message"]
    async with rig.running():
        rig.feed([request(number) for number in range(3)])
        assert len(await rig.batch()) == 3


async def test_nothing_more_is_read_while_too_many_entries_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_ENTRIES", 100)
    rig = Rig()
    await rig.dispatcher.drain()
    rig.feed([request(number) for number in range(100)])
    await rig.dispatcher.drain()  # one batch keeps nothing from being read
    rig.feed([request("more")])
    with anyio.move_on_after(0) as waited:
        await rig.dispatcher.drain()
    assert waited.cancelled_caught
    async with rig.running():
        with anyio.fail_after(BOUND):
            await rig.dispatcher.drain()
        await rig.idle()
