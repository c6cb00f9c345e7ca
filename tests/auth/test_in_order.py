"""Uses of the account run one at a time, in the order in which they were made; one that is given up holds up none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.in_order import InOrder
from appserver.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0


class Log:
    """Uses that note when they begin and end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def use(self, name: str, gate: anyio.Event | None = None) -> Callable[[], Awaitable[str]]:
        async def act() -> str:
            self.lines.append(f"{name} begins")
            if gate is not None:
                await gate.wait()
            await anyio.lowlevel.checkpoint()
            self.lines.append(f"{name} ends")
            return name

        return act


@pytest.fixture
def order() -> InOrder:
    return InOrder()


@pytest.fixture
def log() -> Log:
    return Log()


async def run(use: Awaitable[object]) -> None:
    await use


async def test_the_order_is_that_in_which_they_were_made_not_that_in_which_they_are_awaited(
    order: InOrder, log: Log
) -> None:
    first, second = order.use(log.use("first")), order.use(log.use("second"))
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(run, second)
            await anyio.wait_all_tasks_blocked()
            assert log.lines == []
            group.start_soon(run, first)
    assert log.lines == ["first begins", "first ends", "second begins", "second ends"]
    assert not order.uses


async def test_a_use_returns_what_it_returns_and_raises_what_it_raises(order: InOrder, log: Log) -> None:
    async def fail() -> None:
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        await order.use(fail)
    assert await order.use(log.use("next")) == "next"


async def test_what_a_use_leaves_to_be_awaited_is_awaited_when_the_next_may_begin(order: InOrder, log: Log) -> None:
    gate = anyio.Event()

    async def begin() -> str | Awaitable[str]:
        return log.use("long", gate)()

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(run, order.use(begin))
            group.start_soon(run, order.use(log.use("next")))
            await anyio.wait_all_tasks_blocked()
            assert log.lines == ["long begins", "next begins", "next ends"]
            gate.set()


async def test_a_use_that_is_closed_before_it_was_awaited_holds_up_none(order: InOrder, log: Log) -> None:
    given_up = order.use(log.use("given up"))
    next_one = order.use(log.use("next"))
    given_up.close()
    assert await next_one == "next"
    assert log.lines == ["next begins", "next ends"]


async def test_a_use_that_is_cancelled_while_it_waits_or_runs_holds_up_none(order: InOrder, log: Log) -> None:
    async with anyio.create_task_group() as group:
        for name in ("running", "waiting"):
            group.start_soon(run, order.use(log.use(name, anyio.Event())))
        last = order.use(log.use("last"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert await last == "last"
    assert log.lines == ["running begins", "last begins", "last ends"]


async def test_a_use_waits_for_its_turn_no_longer_than_it_may(order: InOrder, log: Log) -> None:
    gate = anyio.Event()
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(run, order.use(log.use("long", gate)))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(StoreBusy, match="an earlier request waits"):
                await order.use(log.use("impatient"), 0.01)
            gate.set()
    assert log.lines == ["long begins", "long ends"]
