"""Uses of the account, one at a time, in the order in which they were asked for.

A lock that is taken when a task first runs would not do: a request has its place from the moment in which its line is
read, before its task has run. So a use is in the queue as soon as it is made, and leaves it when it has ended or is
closed. Nothing here needs an event loop until a use is awaited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from anyio import Event

T = TypeVar("T")


class InOrder:
    """The uses that wait for their turn, and the one that has it."""

    def __init__(self) -> None:
        self.uses: deque[_Use[Any]] = deque()
        """Those that were made and have not ended yet."""

    def use(
        self, act: Callable[[], Awaitable[T | Awaitable[T]]], patience: float | None = None
    ) -> Coroutine[Any, Any, T]:
        """Return a coroutine that awaits its turn, then `act`; it must be awaited or closed.

        Where `act` returns an awaitable, that is awaited after the turn. `patience`: seconds to wait for the turn;
        StoreBusy is raised after that.
        """
        made = _Use(self, act, patience)
        self.uses.append(made)
        return made

    def is_first(self, use: _Use[Any]) -> bool:
        """Whether it is this one's turn."""
        return self.uses[0] is use

    def leave(self, use: _Use[Any]) -> None:
        """Take one out of the queue, and let the next one begin."""
        if use in self.uses:
            self.uses.remove(use)
            if self.uses:
                self.uses[0].begin()


class _Use(Coroutine[Any, Any, T]):
    """A coroutine that leaves the queue also when it is closed before it was awaited."""

    def __init__(self, queue: InOrder, act: Callable[[], Awaitable[T | Awaitable[T]]], patience: float | None) -> None:
        self._queue = queue
        self._act = act
        self._patience = patience
        self._turn: Event | None = None
        self._coroutine = self._run()

    def begin(self) -> None:
        """Tell it that it is its turn."""
        if self._turn is not None:
            self._turn.set()

    async def _run(self) -> T:
        try:
            await self._wait()
            outcome = await self._act()
        finally:
            self._queue.leave(self)
        return await outcome if isinstance(outcome, Awaitable) else outcome

    async def _wait(self) -> None:
        from anyio import Event, move_on_after

        if self._queue.is_first(self):
            return
        self._turn = Event()
        with move_on_after(self._patience):
            await self._turn.wait()
            return
        raise StoreBusy("an earlier request waits for another process, or for the keyring")

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:  # noqa: ANN401 - as the base class has it
        return self._coroutine.send(value)

    def throw(self, *exc: Any) -> Any:  # noqa: ANN401 - as the base class has it
        return self._coroutine.throw(*exc)

    def close(self) -> None:
        self._coroutine.close()
        self._queue.leave(self)
