"""The queue to a parent that does not keep up: joined deltas, bounded writes, and back-pressure."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from appserver.rpc import outbox as outboxes
from appserver.rpc.outbox import Outbox

pytestmark = pytest.mark.anyio

BIG = "x" * outboxes.WRITE_BYTES


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def delta(text: str, item: str = "m", method: str = "item/agentMessage/delta", **more: object) -> dict[str, Any]:
    return {"method": method, "params": {"itemId": item, "delta": text, **more}}


def filler() -> dict[str, Any]:
    """A message above the size from which deltas are joined."""
    return {"method": "filler", "params": {"text": "x" * outboxes.JOIN_BYTES}}


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
    outbox.send({"method": "filler", "params": {"text": "x" * outboxes.FLOOD_BYTES}})
    outbox.send(delta("a"))
    outbox.send(delta("b"))
    assert deltas(taken(outbox)) == ["ab"]


@pytest.mark.parametrize(
    "other",
    [delta("b", item="n"), delta("b", method="item/reasoning/textDelta"), delta("b", contentIndex=1)],
)
def test_only_deltas_of_the_same_place_are_joined(other: dict[str, Any]) -> None:
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
    after = taken(outbox)
    assert b"filler" in before
    assert deltas(after) == ["ab", "c", "d"]


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
        await outbox.room()
        events.append("room")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            await anyio.wait_all_tasks_blocked()
            outbox.take()
            await anyio.wait_all_tasks_blocked()
            events.append("taken, not written")
            outbox.take()
    assert events == ["taken, not written", "room"]


async def test_whoever_waits_for_room_goes_on_when_nobody_reads_any_more() -> None:
    outbox = Outbox()
    outbox.send({"text": "x" * outboxes.HIGH_WATER_BYTES})
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(outbox.room)
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
