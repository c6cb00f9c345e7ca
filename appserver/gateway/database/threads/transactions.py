"""The transactions of one user's threads: in the order in which they are made, each within a bound.

The caller of one that writes always learns whether it was made. Until it is committed it may be made again, so while
the database restarts, or another node has a thread locked, a turn waits rather than fails. Knows nothing of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio
from sqlalchemy.exc import IntegrityError, ProgrammingError

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.gateway.database.connections import FAILURES, is_locked
from appserver.log import warn
from appserver.threads.stores.base import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import sqlalchemy as sa

    from appserver.gateway.database.functions import Functions, Rows
    from appserver.threads.turn_record import TurnRecord

T = TypeVar("T")

BUSY_SECONDS = 15.0
"""What a transaction may take before it is committed, the wait for those before it included. It takes milliseconds."""

COMMIT_SECONDS = 15.0
"""What the database gets to commit: nobody can tell whether it was done if it does not say so."""

RETRY_SECONDS = 0.1
"""Between two tries."""

STOP_SECONDS = 0.4
"""What is left of a wait at the end of the process, and what one gets that begins then."""

_MISTAKES = (IntegrityError, ProgrammingError)
"""What another try does not help."""


class _Ended(NamedTuple):
    """The end of a turn that is not in the database yet."""

    turn: TurnRecord
    write: Callable[[sa.Connection], object]
    written: Callable[[], None]


class _Bound:
    """How long one write may take, first until it is made and then until it is known to be committed.

    It is shielded: a caller that is cancelled must know whether it has been written.
    """

    def __init__(self, seconds: float) -> None:
        self.scope = anyio.CancelScope(deadline=anyio.current_time() + seconds, shield=True)
        self.failure: ThreadStoreError = _busy()
        """What the caller is told where the time is over."""
        self.is_committing = False

    def commit(self) -> None:
        """Note that it is being committed: from now on it must neither be made again nor be told not to have been."""
        self.is_committing = True
        self.scope.deadline = anyio.current_time() + COMMIT_SECONDS
        self.failure = ThreadStoreError("the database of threads does not answer", UNAVAILABLE)

    def stop(self) -> None:
        """Wait no longer to make it."""
        if not self.is_committing:
            self.scope.deadline = min(self.scope.deadline, anyio.current_time() + STOP_SECONDS)


class Transactions:
    """One user's."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._order = anyio.Lock(fast_acquire=True)
        self._bounds: set[_Bound] = set()
        self._deferred: dict[str, _Ended] = {}
        self._stopped = False

    async def read(self, query: Callable[[Rows], T]) -> T:
        """Return what is read as of one moment. Raises ThreadStoreError, and what the query raises."""
        with anyio.move_on_after(BUSY_SECONDS):
            try:
                return await self._functions.read(query)
            except FAILURES as exc:
                raise _error(exc) from exc
        raise _busy()

    async def write(
        self,
        statements: Callable[[sa.Connection], T],
        before: Callable[[], Awaitable[None]] | None = None,
        *,
        patient: bool = True,
    ) -> T:
        """Return what statements return once they are committed. Raises what they raise, ThreadStoreError.

        `before`: what has to be done outside of the transaction first. `patient`: wait for the database.
        """
        await self.write_deferred()
        return await self._write(statements, before, patient=patient)

    def defer(self, turn: TurnRecord, write: Callable[[sa.Connection], object], written: Callable[[], None]) -> None:
        """Write the end of a turn later. `written` is called when that has been done."""
        self._deferred[turn.id] = _Ended(turn, write, written)

    def ended(self) -> dict[str, TurnRecord]:
        """Return the turns that have ended although the database does not have it yet, by id."""
        return {one.turn.id: one.turn for one in self._deferred.values()}

    @property
    def has_deferred(self) -> bool:
        """Whether there are ends of turns that could not be written in time."""
        return bool(self._deferred)

    async def write_deferred(self) -> None:
        """Try to write the ends of turns that could not be written in time."""
        for one in tuple(self._deferred.values()):
            try:
                await self._write(one.write, patient=False)
            except ThreadStoreError:
                return
            if self._deferred.pop(one.turn.id, None) is not None:
                one.written()

    def stop_waiting(self) -> None:
        """Let nothing wait any longer."""
        self._stopped = True
        for bound in self._bounds:
            bound.stop()

    async def close(self) -> None:
        """Try a last time to write the ends of turns."""
        self.stop_waiting()
        await self.write_deferred()
        if self._deferred:
            warn(f"{len(self._deferred)} turns count as interrupted: their ends could not be written")

    async def _write(
        self,
        statements: Callable[[sa.Connection], T],
        before: Callable[[], Awaitable[None]] | None = None,
        *,
        patient: bool = True,
    ) -> T:
        bound = _Bound(BUSY_SECONDS if patient and not self._stopped else STOP_SECONDS)
        with bound.scope:
            self._bounds.add(bound)
            try:
                async with self._order:
                    while True:
                        try:
                            if before is not None:
                                await before()
                            return await self._functions.write(statements, bound.commit)
                        except FAILURES as exc:
                            if bound.is_committing or isinstance(exc, _MISTAKES):
                                raise _error(exc) from exc
                            bound.failure = _error(exc)
                        await anyio.sleep(RETRY_SECONDS)
            finally:
                self._bounds.discard(bound)
        raise bound.failure


def _busy() -> ThreadStoreBusy:
    return ThreadStoreBusy("the database of threads is busy; try again")


def _error(exc: Exception) -> ThreadStoreError:
    if is_locked(exc):
        return _busy()
    return ThreadStoreError(f"the database of threads cannot be used ({type(exc).__name__})", UNAVAILABLE)
