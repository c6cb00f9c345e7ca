from __future__ import annotations

import anyio
import pytest

from appserver.rpc.pending import MAX_OVERDUE, PendingRequests

pytestmark = pytest.mark.anyio


async def test_a_reply_ends_the_wait_of_the_request_with_its_id() -> None:
    table = PendingRequests(first_id=7)
    first, second = table.add("one"), table.add("two")
    assert (first.id, second.id) == (7, 8)
    assert table.resolve({"id": 8, "result": "of two"}) is second
    assert await second.wait() == {"id": 8, "result": "of two"}
    assert first.reply is None


async def test_only_the_first_reply_to_a_request_is_known() -> None:
    table = PendingRequests()
    table.add("one")
    assert table.resolve({"id": 0, "result": "first"}) is not None
    assert table.resolve({"id": 0, "result": "second"}) is None


async def test_a_request_that_is_not_waited_for_any_more_is_forgotten() -> None:
    table = PendingRequests()
    table.stop_waiting(table.add("one"))
    assert table.resolve({"id": 0, "result": None}) is None


async def test_a_request_with_a_receiver_for_late_replies_is_known_once_more() -> None:
    table = PendingRequests()
    pending = table.add("one", late=lambda _: None)
    table.stop_waiting(pending)
    assert pending.is_overdue
    assert table.resolve({"id": 0, "result": None}) is pending
    assert table.resolve({"id": 0, "result": None}) is None


async def test_a_request_that_was_answered_is_not_overdue() -> None:
    table = PendingRequests()
    pending = table.add("one", late=lambda _: None)
    table.resolve({"id": 0, "result": None})
    table.stop_waiting(pending)
    assert not pending.is_overdue
    assert table.resolve({"id": 0, "result": None}) is None


async def test_only_so_many_late_replies_are_awaited() -> None:
    table = PendingRequests()
    for _ in range(MAX_OVERDUE + 1):
        table.stop_waiting(table.add("one", late=lambda _: None))
    assert table.resolve({"id": 0, "result": None}) is None
    assert table.resolve({"id": 1, "result": None}) is not None


async def test_the_end_of_the_connection_ends_every_wait_without_a_reply() -> None:
    table = PendingRequests()
    async with anyio.create_task_group() as group:
        for pending in (table.add("one"), table.add("two")):
            group.start_soon(pending.wait)
        table.close()
    assert table.resolve({"id": 0, "result": None}) is None
