"""Signals and gates, from tasks and from threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.testing import Gate, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def test_a_signal_set_in_another_thread_wakes_a_task() -> None:
    signal = Signal("something")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(signal.wait)
        await anyio.to_thread.run_sync(signal.set)
    assert signal.is_set


async def in_thread(work: Callable[[], None]) -> None:
    await anyio.to_thread.run_sync(work)


async def test_a_signal_set_in_a_task_wakes_a_thread() -> None:
    signal = Signal("something")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_thread, signal.wait_blocking)
        signal.set()
        signal.set()


async def test_a_signal_that_stays_away_is_named_in_the_timeout() -> None:
    signal = Signal("the moon rises")
    with pytest.raises(TimeoutError, match=r"the moon rises: not within 0\.01 s"):
        await signal.wait(0.01)
    with pytest.raises(TimeoutError, match=r"the moon rises: not within 0\.01 s"):
        signal.wait_blocking(0.01)


def test_a_signal_that_outlives_the_loop_it_was_awaited_in_can_still_be_set() -> None:
    signal = Signal("something")

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await signal.wait(0)

    anyio.run(give_up)
    signal.set()
    assert signal.is_set


async def test_a_gate_holds_until_it_is_released() -> None:
    gate = Gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.hold)
        await gate.reached.wait()
        gate.release()
    assert not gate.abandoned.is_set


async def test_a_gate_released_early_does_not_hold() -> None:
    gate = Gate()
    gate.release()
    with anyio.fail_after(5):
        await gate.hold()


async def test_a_gate_notices_when_it_is_abandoned() -> None:
    gate = Gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.hold)
        await gate.reached.wait()
        tasks.cancel_scope.cancel()
    assert gate.abandoned.is_set
