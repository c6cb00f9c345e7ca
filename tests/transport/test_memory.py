from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from appserver.transport.base import TransportClosed
from appserver.transport.framing import Oversized
from appserver.transport.memory import BUFFERED_WRITES, MemoryTransport, memory_pair

pytestmark = pytest.mark.anyio

BOUND = 10.0


async def test_what_one_end_sends_the_other_receives_as_lines_in_order() -> None:
    left, right = memory_pair()
    await left.send(b"one\ntw")
    await left.send(b"o\n")
    assert await right.receive() == [b"one"]
    assert await right.receive() == [b"two"]
    await right.send(b"back\n")
    assert await left.receive() == [b"back"]
    close(left, right)


async def test_chunks_that_complete_no_line_are_not_the_end() -> None:
    left, right = memory_pair()
    await left.send(b"half")
    assert await right.receive() == []
    close(left, right)


async def test_closing_one_end_is_the_end_of_the_stream_at_the_other() -> None:
    left, right = memory_pair()
    await left.send(b"last\n")
    left.close_sending()
    assert await right.receive() == [b"last"]
    assert await right.receive() is None
    assert await right.receive() is None
    close(left, right)


async def test_a_last_line_without_a_newline_comes_before_the_end() -> None:
    left, right = memory_pair()
    await left.send(b"last")
    left.close_sending()
    assert await right.receive() == []
    assert await right.receive() == [b"last"]
    assert await right.receive() is None
    close(left, right)


async def test_after_the_end_of_input_output_is_still_taken() -> None:
    left, right = memory_pair()
    left.close_sending()
    assert await right.receive() is None
    await right.send(b"answer\n")
    assert await left.receive() == [b"answer"]
    close(left, right)


async def test_sending_to_a_closed_end_says_so() -> None:
    left, right = memory_pair()
    right.close()
    with pytest.raises(TransportClosed):
        await left.send(b"x\n")
    left.close()
    with pytest.raises(TransportClosed):
        await left.send(b"x\n")


async def test_a_closed_peer_is_noticed_without_writing() -> None:
    left, right = memory_pair()
    assert not left.peer_closed()
    right.close()
    assert left.peer_closed()
    left.close()


async def test_a_sender_waits_while_the_reader_is_slow() -> None:
    left, right = memory_pair()
    for _ in range(BUFFERED_WRITES):
        await left.send(b"x\n")
    sent = anyio.Event()

    async def send_one_more() -> None:
        await left.send(b"more\n")
        sent.set()

    async with anyio.create_task_group() as group:
        group.start_soon(send_one_more)
        for _ in range(5):
            await checkpoint()
        assert not sent.is_set()
        await right.receive()
        with anyio.fail_after(BOUND):
            await sent.wait()
    close(left, right)


async def test_the_cap_holds_for_both_ends() -> None:
    left, right = memory_pair(max_line_bytes=4)
    await left.send(b"12345\n1234\n")
    assert await right.receive() == [Oversized(b"12345", 5), b"1234"]
    await right.send(b"12345\n")
    assert await left.receive() == [Oversized(b"12345", 5)]
    close(left, right)


def close(left: MemoryTransport, right: MemoryTransport) -> None:
    left.close()
    right.close()
