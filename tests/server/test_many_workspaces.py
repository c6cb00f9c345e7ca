"""Two hundred users in one process, whose credentials are in a database that takes its time."""

from __future__ import annotations

import sys

import pytest

from appserver.auth import maintenance
from tests.benchmarks.idle_workspaces import measure

pytestmark = pytest.mark.anyio

USERS = 200
MEASURED_SECONDS = 0.5
TICK_SECONDS = 0.02

KIB = 1024


async def test_a_workspace_that_nobody_works_in_costs_little_memory_and_no_wake_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(maintenance, "LOOK_SECONDS", TICK_SECONDS)  # each tick is a wake-up
    cost = await measure(USERS, MEASURED_SECONDS)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{cost.bytes_each / KIB:.1f} KiB each; wake-ups: {cost.one} with one, {cost.all} with {USERS}\n"
        )
    assert cost.bytes_each < 32 * KIB
    assert cost.all < 2 * cost.one + 10, "they share the wake-ups"
