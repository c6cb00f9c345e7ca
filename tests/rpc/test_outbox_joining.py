"""The queue to a client that does not keep up: joined deltas, bounded writes, and back-pressure."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.rpc import outbox as outboxes
from appserver.rpc.outbox import Outbox

pytestmark = pytest.mark.anyio

BIG = "x" * outboxes.WRITE_BYTES


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def delta(
    text: str, item: str = "m", thread: str = "t", method: str = "item/agentMessage/delta", **more: object
) -> dict[str, Any]:
    return {"method": method, "params": {"threadId": thread, "itemId": item, "delta": text, **more}}


def filler() -> dict[str, Any]:
    """A message above the size from which deltas are joined."""
    return {"method": "filler", "params": {"text": "x" * outboxes.JOIN_LOW_WATER_BYTES}}


def taken(outbox: Outbox) -> list[Any]:
    lines = b""
    while data := outbox.take():
        lines += data
    return [json.loads(line) for line in lines.splitlines()]


def stalled() -> Outbox:
    """An outbox whose parent has left a full queue lie for a while."""
    clock = Clock()
    outbox = Outbox(clock)
    outbox.send(filler())
    clock.now += outboxes.STALL_SECONDS + 0.1
    return outbox


def deltas(messages: list[Any]) -> list[str]:
    return [message["params"]["delta"] for message in messages if "delta" in message["params"]]


def test_messages_come_out_in_order_one_a_line() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.send({"id": number, "result": "\u2028"})
    data = outbox.take()
    assert [json.loads(line)["id"] for line in data.split(b"\n") if line] == [0, 1, 2]
    assert data.isascii()


def test_deltas_of_a_parent_that_reads_stay_apart() -> None:
    clock = Clock()
    outbox = Outbox(clock)
    outbox.send(filler())
    for _ in range(10):
        outbox.send(delta("a"))
    assert deltas(taken(outbox)) == ["a"] * 10


def test_deltas_of_a_parent_that_does_not_read_are_joined() -> None:
    outbox = stalled()
    for text in ("one ", "two ", "three"):
        outbox.send(delta(text))
    assert deltas(taken(outbox)) == ["one two three"]


def test_deltas_are_joined_at_once_when_very_much_waits() -> None:
    outbox = Outbox(Clock())
    outbox.send({"method": "filler", "params": {"text": "x" * outboxes.JOIN_HIGH_WATER_BYTES}})
    outbox.send(delta("a"))
    outbox.send(delta("b"))
    assert deltas(taken(outbox)) == ["ab"]


@pytest.mark.parametrize(
    "other",
    [delta("b", method="item/reasoning/textDelta"), delta("b", contentIndex=1)],
)
def test_a_delta_does_not_pass_one_of_the_same_item_but_for_another_part_of_it(other: dict[str, Any]) -> None:
    outbox = stalled()
    outbox.send(delta("a"))
    outbox.send(other)
    outbox.send(delta("c"))
    assert deltas(taken(outbox)) == ["a", "b", "c"]


def test_what_comes_between_two_deltas_stays_between_them() -> None:
    outbox = stalled()
    between: list[Any] = [
        {"id": 1, "result": {}},
        {"method": "item/completed", "params": {}},
        {"id": 3, "method": "ask", "params": {"delta": "of a request"}},
    ]
    for message in between:
        outbox.send(delta("a"))
        outbox.send(message)
    found = taken(outbox)[1:]
    assert found[1::2] == between
    assert found[0::2] == [delta("a")] * 3


def test_joining_ends_when_the_parent_reads_again() -> None:
    outbox = stalled()
    outbox.send(delta("a"))
    outbox.send(delta("b"))
    before = outbox.take()
    outbox.send(delta("c"))
    outbox.send(delta("d"))
    after = outbox.take()
    assert deltas([json.loads(line) for line in before.splitlines()][1:]) == ["ab"]
    assert deltas([json.loads(line) for line in after.splitlines()]) == ["c", "d"]


def test_joined_deltas_carry_the_version_that_the_connection_wants() -> None:
    outbox = stalled()
    outbox.with_version = True
    outbox.send(delta("a"))
    assert taken(outbox)[-1]["jsonrpc"] == "2.0"


def test_a_take_is_bounded_but_for_a_line_that_is_longer() -> None:
    outbox = Outbox()
    outbox.send({"text": BIG})
    for _ in range(3):
        outbox.send({"text": BIG[:100_000]})
    sizes = []
    while data := outbox.take():
        sizes.append(len(data))
    assert sizes[0] > outboxes.WRITE_BYTES
    assert all(size <= outboxes.WRITE_BYTES for size in sizes[1:])
    assert len(sizes) == 3


async def test_room_waits_until_enough_has_been_written() -> None:
    outbox = Outbox()
    outbox.send({"text": "x" * outboxes.HIGH_WATER_BYTES})
    events: list[str] = []

    async def produce() -> None:
        await outbox.drain()
        events.append("drained")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            await anyio.wait_all_tasks_blocked()
            outbox.take()
            await anyio.wait_all_tasks_blocked()
            events.append("taken, not written")
            outbox.take()
    assert events == ["taken, not written", "drained"]


async def test_whoever_waits_for_room_goes_on_when_nobody_reads_any_more() -> None:
    outbox = Outbox()
    outbox.send({"text": "x" * outboxes.HIGH_WATER_BYTES})
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(outbox.drain)
            await anyio.wait_all_tasks_blocked()
            outbox.close(discard=True)
    assert not await outbox.filled()


async def test_what_is_queued_at_the_end_can_still_be_taken() -> None:
    outbox = stalled()
    outbox.send(delta("a"))
    outbox.close()
    outbox.send(delta("too late"))
    assert await outbox.filled()
    assert deltas(taken(outbox)) == ["a"]
    assert not await outbox.filled()


async def test_the_writer_is_woken_by_a_message() -> None:
    outbox = Outbox()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(outbox.filled)
            await anyio.wait_all_tasks_blocked()
            outbox.send({"id": 1})
    assert taken(outbox) == [{"id": 1}]


def test_interleaved_streams_grow_side_by_side() -> None:
    outbox = stalled()
    for number in range(500):
        outbox.send(delta(f"{number} ", item="m", thread="one"))
        outbox.send(delta(f"{number} ", item="n", thread="one"))
        outbox.send(delta(f"{number} ", item="m", thread="two"))
    found = taken(outbox)[1:]
    whole = "".join(f"{number} " for number in range(500))
    assert [(one["params"]["threadId"], one["params"]["itemId"], one["params"]["delta"]) for one in found] == [
        ("one", "m", whole),
        ("one", "n", whole),
        ("two", "m", whole),
    ]


def test_what_happens_in_one_thread_ends_no_growth_in_another() -> None:
    outbox = stalled()
    outbox.send(delta("a", thread="one"))
    outbox.send(delta("x", thread="two"))
    outbox.send({"method": "item/started", "params": {"threadId": "two", "item": {"id": "n"}}})
    outbox.send(delta("b", thread="one"))
    outbox.send(delta("y", thread="two"))
    assert deltas(taken(outbox)) == ["ab", "x", "y"]


def test_what_is_being_written_does_not_grow_any_more() -> None:
    outbox = stalled()
    outbox.send(delta("a"))
    while b"delta" not in outbox.take():
        pass
    outbox.send({"method": "filler", "params": {"threadId": "another", "text": "x" * outboxes.JOIN_HIGH_WATER_BYTES}})
    outbox.send(delta("b"))
    assert deltas(taken(outbox)) == ["b"]


def test_a_batch_of_answers_is_passed_by_no_delta() -> None:
    outbox = stalled()
    outbox.send(delta("a"))
    outbox.send_batch([outbox.encoded({"id": 1, "result": {}})])
    outbox.send(delta("b"))
    assert taken(outbox)[1:] == [delta("a"), [{"id": 1, "result": {}}], delta("b")]


THREADS = ("one", "two")
ITEMS = ("m", "n")
MESSAGES = st.one_of(
    st.builds(
        delta,
        st.text(max_size=3),
        st.sampled_from(ITEMS),
        st.sampled_from(THREADS),
        st.sampled_from(["item/agentMessage/delta", "item/reasoning/textDelta"]),
        contentIndex=st.integers(0, 1),
    ),
    st.builds(
        lambda thread, item, method: {"method": method, "params": {"threadId": thread, "itemId": item}},
        st.sampled_from(THREADS),
        st.sampled_from(ITEMS),
        st.sampled_from(["item/started", "item/completed", "item/reasoning/summaryPartAdded"]),
    ),
    st.sampled_from(THREADS).map(lambda thread: {"method": "turn/completed", "params": {"threadId": thread}}),
    st.sampled_from(THREADS).map(lambda thread: {"id": 7, "method": "item/tool/call", "params": {"threadId": thread}}),
    st.integers(0, 9).map(lambda number: {"id": number, "result": {}}),
    st.just({"method": "account/updated", "params": {}}),
)
STEPS = st.lists(MESSAGES | MESSAGES | MESSAGES | st.sampled_from(["take", "wait", "fill"]), min_size=20, max_size=60)


@given(STEPS)
def test_whatever_is_interleaved_each_thread_is_told_the_same_in_the_same_order(steps: list[Any]) -> None:
    clock = Clock()
    outbox = Outbox(clock)
    steps = ["fill", "wait", *steps]
    sent: list[Any] = []
    received: list[Any] = []

    def send(message: Any) -> None:  # noqa: ANN401 - a message
        sent.append(message)
        outbox.send(message)

    for step in steps:
        match step:
            case "take":
                received += map(json.loads, outbox.take().splitlines())
            case "wait":
                clock.now += outboxes.STALL_SECONDS + 0.1
            case "fill":
                send(
                    {"method": "filler", "params": {"threadId": "another", "text": "x" * outboxes.JOIN_LOW_WATER_BYTES}}
                )
            case message:
                send(message)
    received += taken(outbox)

    assert [one for one in received if not is_delta(one)] == [one for one in sent if not is_delta(one)]
    for thread in THREADS:
        for item in ITEMS:
            assert story(received, thread, item) == story(sent, thread, item)


def is_delta(message: Any) -> bool:  # noqa: ANN401 - a message
    return "delta" in message.get("params", {})


def story(messages: list[Any], thread: str, item: str) -> list[Any]:
    """All that could concern an item, in order: its deltas, those in a row for the same place as one, and the rest.

    That is what names its thread, but for deltas of other items, and what names no thread.
    """
    told: list[Any] = []
    for message in messages:
        params = message.get("params", {})
        if params.get("threadId", thread) != thread or (is_delta(message) and params["itemId"] != item):
            continue
        place = (message["method"], params["contentIndex"]) if is_delta(message) else None
        if place is not None and told and told[-1][0] == place:
            told[-1][1] += params["delta"]
        else:
            told.append([place, params["delta"] if place else message])
    return told
