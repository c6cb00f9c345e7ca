"""threads.db as the event loop uses it: reads and writes in a worker, and goes on in a new file if it is replaced.

The worker runs them in the order in which they are made, so a read sees the writes before it, unless these wait for
another process. Owns the worker, the connection, the queue of writes and the lock file; knows the loaded threads.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakSet

from appserver.errors import ThreadNotFound, ThreadStoreBusy
from appserver.threads.stores.sqlite.connection import Database, FileReplaced
from appserver.threads.stores.sqlite.leases import Owners
from appserver.threads.stores.sqlite.replacement import carry_over
from appserver.threads.stores.sqlite.write_queue import RETRY_SECONDS, WriteQueue
from appserver.worker import Worker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    import anyio

    from appserver.threads.stores.sqlite.history import RecordedThread
    from appserver.threads.stores.sqlite.replacement import Keys, LoadedThread

T = TypeVar("T")

BUSY_SECONDS = 15.0
"""What to wait for another process that writes. A write takes well under a millisecond; what takes longer is a copy of
the database, or a transaction that a person has begun in a tool."""

CLOSE_SECONDS = 1.0
"""What closing may take: a disk that does not answer must not hold up the end of the process."""


class Rows(Protocol):
    """The rows of a loaded thread, as the file sees them."""

    generation: int
    """The one of the file that their keys are good for."""
    recorded: RecordedThread

    def loaded(self) -> LoadedThread:
        """Return the thread as it is in memory."""

    def move(self, generation: int, keys: Keys) -> None:
        """Go on in another file, where the thread and its turn have these keys."""


class ThreadsFile:
    """The file of threads of one home."""

    def __init__(self, home: str, busy_seconds: float) -> None:
        self.database = Database(home)
        self.owners = Owners(home)
        self._busy_seconds = busy_seconds
        self._worker = Worker("threads.db")
        self.writes = WriteQueue(self.database, self._worker, busy_seconds)
        self._loaded: WeakSet[Rows] = WeakSet()
        self._generation = 0
        """That of the database, as far as the loaded threads have been carried over."""
        self._stopped = self._closed = False

    def attach(self, rows: Rows) -> None:
        """Carry a loaded thread over to a new file, if there is ever to be one."""
        self._loaded.add(rows)

    async def read(self, read: Callable[[], T]) -> T:
        """Return what a function reads from the database. Raises ThreadStoreError, and what the function raises."""
        return await self._in_file(partial(self._patiently, partial(self._worker.run, read)))

    async def write(self, statements: Callable[[sqlite3.Connection], T]) -> T:
        """Return what statements return once they are committed. Raises ThreadStoreError, and what they raise."""
        return await self._in_file(lambda: self.writes.write(statements))

    async def write_rows(
        self,
        rows: Rows,
        statements: Callable[[sqlite3.Connection, RecordedThread], T],
        *,
        patient: bool = True,
    ) -> T:
        """Run statements on the rows of a loaded thread, as `write` does."""

        def attempt() -> Awaitable[T]:
            if rows.generation < self._generation:  # it was loaded while the others were carried over
                raise ThreadNotFound(rows.recorded.id)
            return self.writes.write(_of(statements, rows.recorded), rows.generation, patient=patient)

        return await self._in_file(attempt)

    async def write_deferred(self) -> None:
        """Try to write the ends of turns that could not be written in time."""
        await self._worker.run(self.writes.commit)

    def stop_waiting(self) -> None:
        """Let nothing wait for another process any longer."""
        self._stopped = True
        self.writes.stop_waiting()

    async def close(self) -> None:
        """Close the file, after a last try to write the ends of turns."""
        from anyio import move_on_after

        if not self._closed:
            self._closed = True
            with move_on_after(CLOSE_SECONDS, shield=True):
                await self._worker.run(self._close)
            self._worker.close()

    async def _in_file(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt; again in the file that has taken the place of the one that it was made in."""
        while True:
            generation = self._generation
            try:
                return await attempt()
            except FileReplaced:
                await self._patiently(partial(self._go_on, generation))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while another process has the database locked: what reads meets that only when it is opened."""
        from anyio import current_time, sleep

        deadline = current_time() + self._busy_seconds
        while True:
            try:
                return await attempt()
            except ThreadStoreBusy:
                if self._stopped or current_time() >= deadline:
                    raise
            await sleep(RETRY_SECONDS)

    async def _go_on(self, generation: int) -> None:
        """Go on in another file than that of a generation, unless that has been done."""
        async with self._replacing:
            if self._generation != generation:
                return
            loaded = list(self._loaded)
            keys = await self._worker.run(self._carry_over, [rows.loaded() for rows in loaded])
            self._generation += 1
            for rows, place in zip(loaded, keys, strict=True):
                rows.move(self._generation, place)

    @cached_property
    def _replacing(self) -> anyio.Lock:
        """Held while the loaded threads are carried over: all that meet the new file wait for that, and one does it."""
        from anyio import Lock

        return Lock()

    def _carry_over(self, threads: list[LoadedThread]) -> list[Keys]:
        def carry(old: sqlite3.Connection, new: sqlite3.Connection) -> list[Keys]:
            owner = self.owners.mine()  # first: if the directory of lock files is gone as well, our turns look dead
            return carry_over(old, new, self.database.path, owner, threads, self.writes.deferred())

        keys = self.database.go_on(carry)
        self.writes.forget_deferred()
        return keys

    def _close(self) -> None:
        self.writes.close()
        self.database.close()
        self.owners.close()


def _of(
    statements: Callable[[sqlite3.Connection, RecordedThread], T], thread: RecordedThread
) -> Callable[[sqlite3.Connection], T]:
    return lambda connection: statements(connection, thread)
