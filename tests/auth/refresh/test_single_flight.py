"""One refresh serves all who ask, runs to its end whoever gives up, and is waited for no longer than it matters."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.credentials import Held
from appserver.auth.refresh.single_flight import SingleFlight
from appserver.errors import RefreshError
from appserver.tasks import Tasks
from tests.auth.manager_rig import WAIT_SECONDS, external

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio


class Refresh:
    """A refresh that waits until it is told how to end."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended = 0
        self.gate = anyio.Event()
        self.failure: Exception | None = None

    async def __call__(self, held: Held) -> None:
        self.started.append(held.generation)
        await self.gate.wait()
        self.ended += 1
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def running(
    refresh: Callable[[Held], Awaitable[None]],
) -> AsyncIterator[tuple[SingleFlight, anyio.abc.TaskGroup]]:
    tasks = Tasks()
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            tasks.open(group)
            yield SingleFlight(tasks, refresh), group
            group.cancel_scope.cancel()


def held(generation: int = 1) -> Held:
    return Held(external(), generation)


async def test_all_who_join_share_one_refresh_and_its_failure() -> None:
    refresh, failures = Refresh(), list[RefreshError]()
    refresh.failure = RefreshError("try later")

    async def join() -> None:
        with pytest.raises(RefreshError, match="try later") as caught:
            await flight.join(held())
        failures.append(caught.value)

    async with running(refresh) as (flight, _):
        async with anyio.create_task_group() as callers:
            for _ in range(5):
                callers.start_soon(join)
            await anyio.wait_all_tasks_blocked()
            refresh.gate.set()
        assert refresh.started == [1]
        assert len(failures) == 5
        with pytest.raises(RefreshError):
            await flight.join(held())
        assert refresh.started == [1, 1]  # it was not permanent: the next one asks again


async def test_a_permanent_failure_is_told_to_all_who_come_later() -> None:
    refresh = Refresh()
    refresh.failure = RefreshError("the login has ended", permanent=True)
    refresh.gate.set()
    async with running(refresh) as (flight, _):
        for _ in range(3):
            with pytest.raises(RefreshError, match="ended"):
                await flight.join(held())
        assert refresh.started == [1]
        with pytest.raises(RefreshError):
            await flight.join(held(2))
        assert refresh.started == [1, 2]


async def test_what_supersedes_a_refresh_lets_the_callers_go_and_the_refresh_end() -> None:
    refresh = Refresh()
    async with running(refresh) as (flight, _):
        async with anyio.create_task_group() as callers:
            callers.start_soon(flight.join, held())
            await anyio.wait_all_tasks_blocked()
            flight.supersede()
        assert refresh.ended == 0
        refresh.gate.set()
        await flight.idle()
        assert refresh.ended == 1


async def test_a_refresh_runs_on_when_all_who_asked_have_given_up() -> None:
    refresh = Refresh()
    async with running(refresh) as (flight, _):
        async with anyio.create_task_group() as callers:
            callers.start_soon(flight.join, held())
            await anyio.wait_all_tasks_blocked()
            callers.cancel_scope.cancel()
        refresh.gate.set()
        await flight.idle()
        assert refresh.ended == 1


async def test_what_a_foreign_refresher_raises_is_no_secret_and_no_crash() -> None:
    refresh = Refresh()
    refresh.failure = KeyError("opaque-secret")
    refresh.gate.set()
    async with running(refresh) as (flight, _):
        with pytest.raises(RefreshError, match="failed unexpectedly") as caught:
            await flight.join(held())
    assert "opaque-secret" not in caught.value.message


async def test_a_shutdown_leaves_nobody_waiting() -> None:
    refresh, told = Refresh(), list[str]()

    async def join() -> None:
        with pytest.raises(RefreshError, match="cut off by a shutdown") as caught:
            await flight.join(held())
        told.append(caught.value.message)

    async with anyio.create_task_group() as callers, running(refresh) as (flight, _):
        callers.start_soon(join)
        await anyio.wait_all_tasks_blocked()
    assert len(told) == 1


async def test_a_refresh_that_was_superseded_and_ends_late_leaves_a_newer_one_alone() -> None:
    gates = {1: anyio.Event(), 2: anyio.Event()}
    started: list[int] = []

    async def refresh(one: Held) -> None:
        started.append(one.generation)
        await gates[one.generation].wait()

    async with running(refresh) as (flight, _), anyio.create_task_group() as callers:
        callers.start_soon(flight.join, held(1))
        await anyio.wait_all_tasks_blocked()
        flight.supersede()
        callers.start_soon(flight.join, held(2))
        await anyio.wait_all_tasks_blocked()
        gates[1].set()
        await anyio.wait_all_tasks_blocked()
        callers.start_soon(flight.join, held(2))
        await anyio.wait_all_tasks_blocked()
        flight.supersede()
        gates[2].set()
    assert started == [1, 2]
