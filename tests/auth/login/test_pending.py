"""The login that is under way: at most one, and exactly one end for each."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.login.pending import BROWSER_NOT_COMPLETED, NOT_COMPLETED, Login, Logins
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


def start(logins: Logins, flow: Flow) -> str:
    """Begin a login, run it, and return its id."""
    return run(logins, logins.begin(), flow)


def run(logins: Logins, login: Login, flow: Flow) -> str:
    logins.run(login, flow)
    login.known.set()
    return login.id


async def test_a_login_that_succeeds_ends_without_an_error() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow()
        login_id = start(logins, flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, None)]


async def test_a_login_that_fails_ends_with_its_own_words() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow(LoginError("the user said no"))
        login_id = start(logins, flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, "the user said no")]


async def test_a_fault_of_our_own_ends_a_login_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    async with some_logins() as (logins, ends):
        flow = Flow(ValueError("internal matters"))
        login_id = start(logins, flow)
        flow.decided.set()
        await ends.wait(1)
    assert ends.told == [(login_id, "Login failed unexpectedly")]
    assert "internal matters" in caplog.text


async def test_a_cancelled_login_ends_once_in_the_references_words() -> None:
    async with some_logins() as (logins, ends):
        login_id = start(logins, Flow())
        assert logins.cancel(login_id)
        await ends.wait(1)
        assert not logins.cancel(login_id)
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_a_login_cancelled_before_its_task_has_run_ends_once() -> None:
    async with some_logins() as (logins, ends):
        flow = Flow()
        login_id = start(logins, flow)
        logins.cancel_pending()
        logins.cancel_pending()
        await ends.wait(1)
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_another_id_is_not_found_and_cancels_nothing() -> None:
    async with some_logins() as (logins, ends):
        login_id = start(logins, Flow())
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
        first, flow = start(logins, Flow()), Flow()
        second = start(logins, flow)
        await ends.wait(1)
        flow.decided.set()
        await ends.wait(2)
    assert ends.told == [(first, NOT_COMPLETED), (second, None)]


async def test_a_browser_login_waits_until_every_earlier_one_has_let_go_of_the_port() -> None:
    async with some_logins() as (logins, ends):
        flows = [Flow(), Flow()]
        for flow in flows:
            run(logins, logins.begin(by_browser=True), flow)
        start(logins, Flow())
        login = logins.begin(by_browser=True)
        with anyio.fail_after(WAIT_SECONDS):
            await logins.port_free(login)
        assert not any(flow.running.is_set() and not flow.port_free for flow in flows)
        await ends.wait(3)


async def test_a_superseded_login_lets_go_of_the_port_before_its_id_is_known_and_its_end_is_told_after() -> None:
    async with some_logins() as (logins, ends):
        first, flow = logins.begin(by_browser=True), Flow()
        logins.run(first, flow)
        second = logins.begin(by_browser=True)
        with anyio.fail_after(WAIT_SECONDS):
            await logins.port_free(second)
        assert (flow.port_free or not flow.running.is_set(), ends.told) == (True, [])
        first.known.set()
        await ends.wait(1)
    assert ends.told == [(first.id, BROWSER_NOT_COMPLETED)]


async def test_the_first_browser_login_does_not_wait() -> None:
    async with some_logins() as (logins, _):
        with anyio.fail_after(WAIT_SECONDS):
            await logins.port_free(logins.begin(by_browser=True))


async def test_a_browser_login_that_is_superseded_while_it_waits_for_the_port_is_refused() -> None:
    async with some_logins() as (logins, ends):
        login = logins.begin(by_browser=True)
        logins.begin()
        with pytest.raises(RequestError, match=BROWSER_NOT_COMPLETED), logins.starting(login):
            await logins.port_free(login)
        assert ends.told == []
        with anyio.fail_after(WAIT_SECONDS):
            await logins.port_free(logins.begin(by_browser=True))


@pytest.mark.parametrize("by_browser", [True, False])
async def test_a_login_that_is_superseded_while_its_flow_starts_ends_once_it_runs(by_browser: bool) -> None:
    async with some_logins() as (logins, ends):
        login, flow = logins.begin(by_browser=by_browser), Flow()
        with logins.starting(login):
            logins.cancel_pending()
        run(logins, login, flow)
        await ends.wait(1)
        assert flow.port_free
    assert ends.told == [(login.id, BROWSER_NOT_COMPLETED if by_browser else NOT_COMPLETED)]


async def test_a_login_whose_flow_cannot_be_started_ends_without_a_word() -> None:
    async with some_logins() as (logins, ends):
        login = logins.begin(by_browser=True)
        with pytest.raises(LoginError), logins.starting(login):
            raise LoginError("no port")
        assert not logins.cancel(login.id)
        second = start(logins, Flow())
        logins.cancel_pending()
        await ends.wait(1)
    assert ends.told == [(second, NOT_COMPLETED)]


async def test_a_shutdown_ends_a_pending_login_once() -> None:
    async with some_logins() as (logins, ends):
        login_id = start(logins, Flow())
    assert ends.told == [(login_id, NOT_COMPLETED)]


async def test_a_login_that_has_ended_does_not_take_the_next_one_with_it() -> None:
    async with some_logins() as (logins, ends):
        first, second = Flow(), Flow()
        first.decided.set()
        first_id = start(logins, first)
        await ends.wait(1)
        second_id = start(logins, second)
        assert not logins.cancel(first_id)
        second.decided.set()
        await ends.wait(2)
    assert ends.told == [(first_id, None), (second_id, None)]
