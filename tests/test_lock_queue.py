"""What meets another process's lock is made again, in order and within a bound; the event loop goes on meanwhile."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.errors import Busy
from appserver.lock_queue import LockQueue

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


class Store:
    """Notes what is written to it, unless it is locked or the next write is another one's."""

    def __init__(self, seconds: float = 20) -> None:
        self.queue = LockQueue(seconds)
        self.written: list[str] = []
        self.locked = True
        self.met = anyio.Event()
        """Set when somebody has met the lock."""

    def use(self, name: str) -> Callable[[], str]:
        def write() -> str:
            if self.locked or self.queue.reserved:
                self.met.set()
                raise Busy("locked")
            self.written.append(name)
            return name

        return write

    def attempt(self, name: str) -> Coroutine[Any, Any, str]:
        waiting = self.queue.attempt(self.use(name))
        assert isinstance(waiting, Coroutine)
        return waiting


async def test_what_meets_no_lock_does_not_wait() -> None:
    store = Store()
    store.locked = False
    assert store.queue.attempt(store.use("a")) == "a"
    with pytest.raises(StopIteration):
        store.queue.apply(store.use("b")).send(None)
    assert store.written == ["a", "b"]


async def test_what_waits_is_done_in_the_order_in_which_it_came() -> None:
    store = Store()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            first, second = store.attempt("first"), store.attempt("second")
            group.start_soon(store.queue.apply, store.use("third"))
            await anyio.wait_all_tasks_blocked()
            store.locked = False
            last = store.attempt("last")  # the lock is free, but others came before
            for waiting in (last, second, first):
                group.start_soon(_awaited, waiting)
    assert store.written == ["first", "second", "third", "last"]


async def _awaited(waiting: Coroutine[Any, Any, str]) -> None:
    await waiting


async def test_a_wait_ends_after_its_bound() -> None:
    store = Store(seconds=0.01)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for name in ("a", "b"):
                group.start_soon(_refused, store.attempt(name))
    store.locked = False
    assert store.queue.attempt(store.use("c")) == "c"


async def _refused(waiting: Coroutine[Any, Any, str]) -> None:
    with pytest.raises(Busy):
        await waiting


async def test_what_is_given_up_lets_the_next_one_go_on() -> None:
    store = Store()
    never_awaited, cancelled, last = (store.attempt(name) for name in ("a", "b", "c"))
    never_awaited.close()
    with anyio.move_on_after(0.01):
        await cancelled
    store.locked = False
    with anyio.fail_after(10):
        assert await last == "c"
    assert store.written == ["c"]


async def test_what_a_turn_has_to_write_is_not_cancelled() -> None:
    store = Store()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(store.queue.apply, store.use("said"))
            await store.met.wait()
            group.cancel_scope.cancel()
            store.locked = False
    assert store.written == ["said"]


async def test_a_queue_that_is_closed_lets_nothing_wait() -> None:
    store = Store()

    async def write() -> None:
        with pytest.raises(Busy):
            await store.queue.apply(store.use("said"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            not_awaited_yet = store.attempt("a")
            group.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            store.queue.close()
            group.start_soon(_refused, not_awaited_yet)
    with pytest.raises(Busy):
        store.queue.attempt(store.use("b"))
    assert store.written == []


async def test_an_error_of_a_use_that_waited_is_its_own() -> None:
    store = Store()

    def fails() -> None:
        if store.locked:
            raise Busy("locked")
        raise KeyError("its own")

    waiting = store.queue.attempt(fails)
    assert isinstance(waiting, Coroutine)
    store.locked = False
    with pytest.raises(KeyError, match="its own"):
        await waiting
