"""Writes to threads.db: in the order in which they are made, each durable before its caller goes on.

The event loop queues them, and the worker commits all that are queued in one transaction: while one is under way, the
next ones gather. Where another process has the database locked they stay queued, and one caller tries again for all;
meanwhile the worker is free for reads. Knows nothing of what is written.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ThreadStoreBusy, ThreadStoreError
from appserver.log import warn
from appserver.threads.stores.sqlite.connection import FileReplaced

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    import anyio

    from appserver.threads.stores.sqlite.connection import Database
    from appserver.threads.turn_record import TurnRecord
    from appserver.worker import Worker

T = TypeVar("T")

RETRY_SECONDS = 0.005
"""Between two tries to get the lock: SQLite does not tell when it is free."""

HANG_SECONDS = 30.0
"""What a write may take beyond the wait for the lock. A disk that takes longer counts as one that does not answer."""

STOP_SECONDS = 1.0
"""What is left of that at the end of the process."""


@dataclass(slots=True, eq=False)
class _Write:
    statements: Callable[[sqlite3.Connection], Any]
    generation: int | None
    """The one that its keys are of. None: it has no keys."""
    ended: TurnRecord | None = None
    """The turn whose end it writes, if it is deferred."""
    done: bool = False
    result: Any = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.done, self.error = True, error


class WriteQueue:
    """The writes of one database. `write`, `defer`, `stop_waiting` are the event loop's, the rest is the worker's."""

    def __init__(self, database: Database, worker: Worker, busy_seconds: float) -> None:
        self._database = database
        self._worker = worker
        self._busy_seconds = busy_seconds
        self._lock = Lock()  # of the two queues, which the event loop and the worker change
        self._queued: deque[_Write] = deque()
        self._deferred: list[_Write] = []
        """Ends of turns that could not be written in time: each transaction begins with them."""
        self._bounds: set[anyio.CancelScope] = set()
        self._stopped = False

    async def write(
        self,
        statements: Callable[[sqlite3.Connection], T],
        generation: int | None = None,
        *,
        patient: bool = True,
    ) -> T:
        """Return what statements return once they are committed. Raises what they raise, and ThreadStoreError.

        They may be run several times, in transactions that are rolled back. `patient`: wait while another process has
        the database locked.
        """
        from anyio import CancelScope, current_time

        write = _Write(statements, generation)
        with self._lock:
            self._queued.append(write)
        seconds = self._busy_seconds if patient else 0.0
        # Shielded: a caller that is cancelled must know whether it has been written.
        with CancelScope(deadline=current_time() + seconds + HANG_SECONDS, shield=True) as bound:
            self._bounds.add(bound)
            try:
                await self._worker.run(self.commit)
                if not write.done:
                    await self._wait(write, current_time() + seconds)
            finally:
                self._bounds.discard(bound)
        if write.error is not None:
            raise write.error
        if not write.done:
            raise ThreadStoreError(f"{self._database.path}: the disk does not answer")
        result: T = write.result
        return result

    def defer(self, statements: Callable[[sqlite3.Connection], object], generation: int, ended: TurnRecord) -> None:
        """Write the end of a turn with the next transaction."""
        with self._lock:
            self._deferred.append(_Write(statements, generation, ended))

    @property
    def has_deferred(self) -> bool:
        """Whether the end of a turn is yet to be written."""
        return bool(self._deferred)

    def stop_waiting(self) -> None:
        """Let no write wait any longer."""
        from anyio import current_time

        self._stopped = True
        for bound in self._bounds:
            bound.deadline = min(bound.deadline, current_time() + STOP_SECONDS)

    async def _wait(self, write: _Write, deadline: float) -> None:
        """Wait for the lock, behind those that wait already."""
        from anyio import current_time, sleep

        async with self._retrying:
            while not (write.done or self._stopped or current_time() >= deadline):
                await sleep(RETRY_SECONDS)
                await self._worker.run(self.commit)
        if not write.done:
            await self._worker.run(self._withdraw, write)

    @cached_property
    def _retrying(self) -> anyio.Lock:
        """Held by the caller that tries again for all: more tries would not find the lock free any sooner."""
        from anyio import Lock

        return Lock()

    def commit(self) -> None:
        """Make what is queued, in one transaction if that is possible."""
        with self._lock:
            writes, self._queued = [*self._deferred, *self._queued], deque()
        writes = [write for write in writes if not self._outdated(write)]
        try:
            self._make(writes)
        except ThreadStoreBusy:
            self._queue_again(writes)
        except Exception as exc:  # noqa: BLE001 - raised where the write is awaited
            if len(writes) == 1 or isinstance(exc, FileReplaced):
                _fail(writes, exc)
            else:
                self._make_each(writes)

    def ended(self) -> dict[str, TurnRecord]:
        """Return the turns that have ended although the database does not have it yet, by id."""
        with self._lock:
            return {write.ended.id: write.ended for write in self._deferred if write.ended and not write.done}

    def deferred(self) -> list[Callable[[sqlite3.Connection], object]]:
        """Return the statements that write the ends of turns."""
        with self._lock:
            return [write.statements for write in self._deferred]

    def forget_deferred(self) -> None:
        """Forget the ends of turns: they have been written otherwise."""
        with self._lock:
            self._deferred.clear()

    def close(self) -> None:
        """Try a last time to write the ends of turns."""
        self.commit()
        if self._deferred:
            warn(f"{len(self._deferred)} turns count as interrupted: their ends could not be written")

    def _make(self, writes: list[_Write]) -> None:
        """Make writes in one transaction."""
        if not writes:
            return
        results = self._database.write(lambda connection: [write.statements(connection) for write in writes])
        for write, result in zip(writes, results, strict=True):
            write.done, write.result = True, result
        with self._lock:
            self._deferred = [write for write in self._deferred if not write.done]

    def _make_each(self, writes: list[_Write]) -> None:
        """Make writes in a transaction each: one of them cannot be made."""
        for place, write in enumerate(writes):
            try:
                self._make([write])
            except ThreadStoreBusy:
                self._queue_again(writes[place:])
                return
            except Exception as exc:  # noqa: BLE001 - raised where the write is awaited
                _fail([write], exc)

    def _outdated(self, write: _Write) -> bool:
        if write.generation in (None, self._database.generation):
            return False
        write.fail(FileReplaced())
        return True

    def _queue_again(self, writes: list[_Write]) -> None:
        with self._lock:
            self._queued.extendleft(write for write in reversed(writes) if write.ended is None)

    def _withdraw(self, write: _Write) -> None:
        with self._lock:
            if write in self._queued:
                self._queued.remove(write)
                write.fail(ThreadStoreBusy(f"{self._database.path}: another process keeps it locked; try again"))


def _fail(writes: list[_Write], error: Exception) -> None:
    """Report an error to the callers of writes. What is deferred stays so."""
    for write in writes:
        if write.ended is None:
            write.fail(error)
