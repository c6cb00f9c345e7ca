from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from appserver.rpc.outbox import HIGH_WATER_BYTES, LAG_BYTES, LAG_SECONDS, MAX_BYTES, Outbox
from appserver.rpc.shared_notification import SharedNotification
from tests.rpc.rig import BOUND

if TYPE_CHECKING:
    from protocol.envelope import Message

pytestmark = pytest.mark.anyio

LARGE = {"text": "x" * (HIGH_WATER_BYTES + 1)}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_messages_are_taken_in_order_one_per_line_and_once() -> None:
    outbox = Outbox()
    outbox.send({"id": 1})
    outbox.send_batch([outbox.encoded({"id": 2}), outbox.encoded({"id": 3})])
    assert outbox.take() == b'{"id":1}\n[{"id":2},{"id":3}]\n'
    assert outbox.take() == b""


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_whatever_is_sent_is_one_line_of_ascii_and_reads_back_the_same(message: dict[str, object]) -> None:
    outbox = Outbox()
    outbox.send(message)
    line = outbox.take()
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == message


def test_lone_surrogates_and_line_separators_survive() -> None:
    outbox = Outbox()
    outbox.send({"id": "\ud800", "text": "a\u2028b\u0085c\nd"})
    assert json.loads(outbox.take()) == {"id": "\ud800", "text": "a\u2028b\u0085c\nd"}


def test_the_version_is_added_to_messages_and_to_each_entry_of_a_batch() -> None:
    outbox = Outbox()
    outbox.with_version = True
    outbox.send({"id": 1})
    outbox.send_batch([outbox.encoded({"id": 2}), outbox.encoded({"id": 3})])
    single, batch = map(json.loads, outbox.take().splitlines())
    assert single == {"jsonrpc": "2.0", "id": 1}
    assert batch == [{"jsonrpc": "2.0", "id": 2}, {"jsonrpc": "2.0", "id": 3}]


async def test_the_writer_waits_until_there_is_something_to_take() -> None:
    outbox = Outbox()
    filled = anyio.Event()

    async def writer() -> None:
        assert await outbox.filled()
        filled.set()

    async with anyio.create_task_group() as group:
        group.start_soon(writer)
        await checkpoint()
        await checkpoint()
        assert not filled.is_set()
        outbox.send({"id": 1})
        with anyio.fail_after(BOUND):
            await filled.wait()


async def test_there_is_room_until_too_much_is_unsent() -> None:
    outbox = Outbox()
    with anyio.fail_after(BOUND):
        await outbox.drain()
        outbox.send({"id": 1})
        await outbox.drain()


async def test_who_produces_much_waits_until_it_has_been_written() -> None:
    outbox = Outbox()
    outbox.send(LARGE)
    resumed: list[int] = []

    async def produce(number: int) -> None:
        await outbox.drain()
        resumed.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(produce, number)
        for _ in range(5):
            await checkpoint()
        assert resumed == []
        outbox.take()
        assert outbox.take() == b""  # the writer is back: what it took before is written
    assert sorted(resumed) == [0, 1, 2]


async def test_a_producer_that_waits_for_room_can_be_cancelled() -> None:
    outbox = Outbox()
    outbox.send(LARGE)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await outbox.drain()
    assert scope.cancelled_caught


async def test_after_the_end_what_is_queued_is_taken_and_nothing_is_added() -> None:
    outbox = Outbox()
    outbox.send({"id": 1})
    outbox.close()
    outbox.send({"id": 2})
    assert await outbox.filled()
    assert outbox.take() == b'{"id":1}\n'
    assert not await outbox.filled()


async def test_the_end_wakes_the_writer() -> None:
    outbox = Outbox()
    async with anyio.create_task_group() as group:
        group.start_soon(outbox.filled)
        await checkpoint()
        outbox.close()


async def test_discarding_drops_what_is_queued_and_wakes_who_waits_for_room() -> None:
    outbox = Outbox()
    outbox.send(LARGE)
    async with anyio.create_task_group() as group:
        group.start_soon(outbox.drain)
        await checkpoint()
        outbox.close(discard=True)
    assert outbox.take() == b""
    assert not await outbox.filled()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def overflowing(clock: Clock) -> tuple[Outbox, list[str]]:
    """Return an outbox, and what is told when it overflows."""
    told: list[str] = []
    outbox = Outbox(clock, lambda: told.append("overflow"))
    return outbox, told


def test_a_client_that_takes_nothing_for_long_while_much_is_unsent_is_too_slow() -> None:
    clock = Clock()
    outbox, told = overflowing(clock)
    outbox.send({"id": 1, "text": "x" * LAG_BYTES})
    clock.now += LAG_SECONDS + 1
    assert not told
    outbox.send({"method": "news"})
    assert told


def test_a_client_that_takes_something_now_and_then_is_not_too_slow() -> None:
    clock = Clock()
    outbox, told = overflowing(clock)
    for number in range(10):
        outbox.send({"id": number, "text": "x" * (LAG_BYTES // 2)})
        clock.now += LAG_SECONDS
        outbox.take()
    assert not told


def test_a_client_that_reads_and_is_far_behind_all_the_same_is_too_slow() -> None:
    outbox, told = overflowing(Clock())
    line = {"id": 1, "text": "x" * LAG_BYTES}
    for _ in range(MAX_BYTES // LAG_BYTES):
        outbox.send(line)
    assert told


def test_what_is_unsent_is_discarded_but_for_the_last_words_to_a_client_that_is_too_slow() -> None:
    outbox = Outbox()
    outbox.send({"id": 1})
    outbox.close_with({"method": "warning"})
    outbox.send({"id": 2})
    assert outbox.take() == b'{"method":"warning"}\n'


def test_a_notification_for_several_clients_is_encoded_once_for_each_form() -> None:
    encoded: list[object] = []
    shared = SharedNotification("news", {"of": "today"})

    class Counting(Outbox):
        def _encode(self, message: Message) -> bytes | None:
            encoded.append(message)
            return super()._encode(message)

    outboxes = [Counting() for _ in range(4)]
    outboxes[3].with_version = True
    for outbox in outboxes:
        outbox.send_shared(shared)
    assert len(encoded) == 2
    assert [json.loads(outbox.take()) for outbox in outboxes[2:]] == [
        {"method": "news", "params": {"of": "today"}},
        {"jsonrpc": "2.0", "method": "news", "params": {"of": "today"}},
    ]


async def test_what_is_told_right_after_an_answer_is_written_together_with_it() -> None:
    outbox, taken = Outbox(), []

    async def write() -> None:
        while await outbox.filled():
            taken.append(outbox.take())

    async def tell() -> None:
        outbox.send({"method": "turn/started"})

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        outbox.hold()
        outbox.send({"id": 1, "result": {}})
        group.start_soon(tell)
        outbox.release()
        await anyio.wait_all_tasks_blocked()
        outbox.close()
    assert [data.count(b"\n") for data in taken] == [2]
