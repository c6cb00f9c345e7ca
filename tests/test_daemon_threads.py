"""The executor of the event loop: what a call returns and raises, how many run at once, and what the end waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.daemon_threads import MAX_THREADS, DaemonThreads, use_daemon_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def divided(by: int) -> int:
    return 42 // by


async def test_a_call_returns_or_raises_where_it_is_awaited() -> None:
    use_daemon_threads()
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, divided, 2) == 21
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, divided, 0)


async def test_no_more_run_at_once_than_there_may_be_threads_and_what_is_cancelled_before_is_not_run(
    gate: threading.Event,
) -> None:
    threads = DaemonThreads()
    first = [threads.submit(gate.wait, WAIT_SECONDS) for _ in range(MAX_THREADS)]
    given_up, last = threads.submit(divided, 1), threads.submit(divided, 2)
    assert given_up.cancel()
    assert not last.running()
    gate.set()
    with anyio.fail_after(WAIT_SECONDS):
        assert await asyncio.wrap_future(last) == 21
        assert await asyncio.gather(*map(asyncio.wrap_future, first)) == [True] * MAX_THREADS


async def test_the_end_waits_for_no_call(gate: threading.Event) -> None:
    use_daemon_threads()
    loop = asyncio.get_running_loop()
    waiting = loop.run_in_executor(None, gate.wait)
    with anyio.fail_after(WAIT_SECONDS):
        await loop.shutdown_default_executor()
    assert not waiting.done()
    waiting.cancel()
