"""The login that is under way: at most one, and exactly one end for each."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.logins import NOT_COMPLETED, Logins
from appserver.errors import LoginError, RequestError
from appserver.tasks import Tasks
from tests.auth.manager_rig import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


class Ends:
    """What was told of logins that ended."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self._news = anyio.Event()

    def __call__(self, login_id: str, error: str | None) -> None:
        self.told.append((login_id, error))
        self._news.set()
        self._news = anyio.Event()

    async def wait(self, count: int) -> None:
        with anyio.fail_after(WAIT_SECONDS):
            while len(self.told) < count:
                await self._news.wait()


class Flow:
    """A login that ends when the test says so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.decided = anyio.Event()
        self.running = anyio.Event()
        self.port_free = False
        self._error = error

    async def __call__(self) -> None:
        try:
            self.running.set()
            await self.decided.wait()
        finally:
            self.port_free = True
        if self._error is not None:
            raise self._error


@asynccontextmanager
async def some_logins() -> AsyncIterator[tuple[Logins, Ends]]:
    tasks, ends = Tasks(), Ends()
    async with anyio.create_task_group() as group:
        tasks.open(group)
        yield Logins(tasks, ends), ends
        group.cancel_scope.cancel()


async def test_a_login_that_succeeds_ends_without_an_error() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow()
        login_id = logins.begin(flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, None)]


async def test_a_login_that_fails_ends_with_its_own_words() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow(LoginError("the user said no"))
        login_id = logins.begin(flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, "the user said no")]


async def test_a_fault_of_our_own_ends_a_login_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    async with some_logins() as (logins, ends):
        flow = Flow(ValueError("internal matters"))
        login_id = logins.begin(flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, "Login failed unexpectedly")]
    assert "internal matters" in caplog.text


async def test_a_cancelled_login_ends_once_in_the_references_words() -> None:
    async with some_logins() as (logins, ends):
        login_id = logins.begin(Flow())
        assert logins.cancel(login_id)
        await ends.wait(1)
        assert not logins.cancel(login_id)
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_a_login_cancelled_before_its_task_has_run_ends_once() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow()
        login_id = logins.begin(flow)
        logins.cancel_pending()
        logins.cancel_pending()
        await ends.wait(1)
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_another_id_is_not_found_and_cancels_nothing() -> None:
    async with some_logins() as (logins, ends):
        login_id = logins.begin(Flow())
        assert not logins.cancel("00000000-0000-4000-8000-000000000000")
        assert ends.told == []
        assert logins.cancel(login_id)


@pytest.mark.parametrize("login_id", ["nope", "", "💥", "0" * 1000])
async def test_what_is_no_login_id_is_refused_in_the_references_words(login_id: str) -> None:
    async with some_logins() as (logins, _):
        with pytest.raises(RequestError) as caught:
            logins.cancel(login_id)
    assert caught.value.message == f"invalid login id: {login_id}"


async def test_a_new_login_supersedes_the_old() -> None:
    async with some_logins() as (logins, ends):
        first, flow = logins.begin(Flow()), Flow()
        second = logins.begin(flow)
        await ends.wait(1)
        flow.decided.set()
        await ends.wait(2)
    assert ends.told == [(first, NOT_COMPLETED), (second, None)]


async def test_superseding_waits_until_the_port_is_free() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow()
        logins.begin(flow)
        with anyio.fail_after(WAIT_SECONDS):
            await flow.running.wait()
            await logins.supersede()
        assert flow.port_free
        await ends.wait(1)


async def test_superseding_nothing_returns_at_once() -> None:
    async with some_logins() as (logins, _):
        with anyio.fail_after(WAIT_SECONDS):
            await logins.supersede()


async def test_a_shutdown_ends_a_pending_login_once() -> None:
    async with some_logins() as (logins, ends):
        login_id = logins.begin(Flow())
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_a_login_that_has_ended_does_not_take_the_next_one_with_it() -> None:
    async with some_logins() as (logins, ends):
        first, second = Flow(), Flow()
        first.decided.set()
        first_id = logins.begin(first)
        await ends.wait(1)
        second_id = logins.begin(second)
        assert not logins.cancel(first_id)
        second.decided.set()
        await ends.wait(2)
    assert ends.told == [(first_id, None), (second_id, None)]
