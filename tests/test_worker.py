"""Calls that may block run in a thread of their own: in order, to their end, and without holding up the process."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import anyio
import pytest

from appserver.worker import Worker, WorkerClosed

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0
"""What a test waits at most for a thread."""

STUCK = """
import anyio, threading
from appserver.worker import Worker

async def main():
    with anyio.move_on_after(0.1):
        await Worker("stuck").run(threading.Event().wait)

anyio.run(main)
"""


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def fail(error: BaseException) -> None:
    raise error


async def test_a_call_returns_its_result_or_raises_its_exception() -> None:
    worker = Worker("results")
    assert await worker.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 7, 0)
    with pytest.raises(SystemExit):
        await worker.run(fail, SystemExit(1))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await worker.run(fail, StopIteration())
    assert await worker.run(len, "still there") == 11
    worker.close()


async def test_calls_run_one_after_another_in_the_order_in_which_they_were_made() -> None:
    worker, done, first = Worker("in order"), list[int](), threading.Event()

    def call(number: int) -> int:
        if number == 0:
            first.wait(WAIT_SECONDS)
        done.append(number)
        return threading.get_ident()

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(worker.run, call, number)
        await anyio.lowlevel.checkpoint()
        assert not done
        first.set()
    assert done == list(range(50))
    assert {await worker.run(call, 1) for _ in range(3)} == {await worker.run(threading.get_ident)}
    worker.close()


async def test_no_thread_exists_before_the_first_call() -> None:
    worker = Worker("never used")
    assert not threads_named("never used")
    worker.close()


async def test_a_call_runs_to_its_end_although_its_caller_was_cancelled() -> None:
    worker, begun, may_end, ended = Worker("cancelled"), threading.Event(), threading.Event(), list[str]()

    def call(name: str) -> None:
        begun.set()
        may_end.wait(WAIT_SECONDS)
        ended.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(worker.run, call, "running")
        group.start_soon(worker.run, call, "waiting")
        await anyio.to_thread.run_sync(begun.wait, WAIT_SECONDS)
        group.cancel_scope.cancel()
    assert not ended
    may_end.set()
    assert await worker.run(ended.copy) == ["running", "waiting"]
    worker.close()


async def test_a_closed_worker_runs_what_it_has_been_given_and_takes_nothing_more() -> None:
    worker, may_begin, done = Worker("closed"), threading.Event(), list[int]()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run, may_begin.wait, WAIT_SECONDS)
        group.start_soon(worker.run, done.append, 1)
        await anyio.lowlevel.checkpoint()
        (thread,) = threads_named("closed")
        worker.close()
        with pytest.raises(WorkerClosed):
            await worker.run(done.append, 2)
        may_begin.set()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert done == [1]


async def test_a_thread_without_calls_ends_and_the_next_call_starts_another() -> None:
    worker = Worker("idle", idle_seconds=0.0)
    await worker.run(int)
    for thread in threads_named("idle"):
        await anyio.to_thread.run_sync(thread.join, WAIT_SECONDS)
        assert not thread.is_alive()
    assert await worker.run(int) == 0
    worker.close()


def test_a_call_that_ends_after_its_event_loop_disturbs_nobody() -> None:
    worker, may_end = Worker("late"), threading.Event()

    async def give_up() -> None:
        with anyio.move_on_after(0):
            await worker.run(may_end.wait, WAIT_SECONDS)

    anyio.run(give_up)
    may_end.set()
    assert anyio.run(partial(worker.run, int)) == 0
    worker.close()


def test_the_end_of_the_process_does_not_wait_for_a_call_that_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK], timeout=WAIT_SECONDS, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_event_loop_is_not_imported_with_a_worker() -> None:
    code = "import sys, appserver.worker; appserver.worker.Worker('w'); print('asyncio' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ran.stdout.strip() == b"False"
