"""The longest pause of the event loop in the last minute."""

from __future__ import annotations

import sys
import time

import anyio
import anyio.lowlevel
import pytest

from appserver.loop_pauses import WINDOW_SECONDS, LoopPauses


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> LoopPauses:
    made = LoopPauses(clock)
    made.new_event_loop().close()
    return made


def test_what_is_not_measured_is_not_zero() -> None:
    assert LoopPauses().longest() is None


on_unix = pytest.mark.skipif(sys.platform == "win32", reason="its event loop has no selector")


@on_unix
def test_without_a_pause_it_is_zero(pauses: LoopPauses) -> None:
    assert pauses.longest() == 0.0


@on_unix
def test_the_longest_counts_until_a_minute_has_gone_by(pauses: LoopPauses, clock: Clock) -> None:
    pauses.note(clock.now, 0.3)
    pauses.note(clock.now + 0.5, 0.1)
    pauses.note(clock.now + 20, 0.2)
    assert pauses.longest() == 0.3
    clock.now += WINDOW_SECONDS
    assert pauses.longest() == 0.2
    clock.now += 20
    assert pauses.longest() == 0.0
    pauses.note(clock.now, 0.05)
    assert pauses.longest() == 0.05


@on_unix
def test_what_holds_up_the_loop_is_measured() -> None:
    pauses = LoopPauses()

    async def hold_up() -> None:
        await anyio.lowlevel.checkpoint()
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            pass
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

    anyio.run(hold_up, backend_options={"loop_factory": pauses.new_event_loop})
    longest = pauses.longest()
    assert longest is not None
    assert longest >= 0.02
