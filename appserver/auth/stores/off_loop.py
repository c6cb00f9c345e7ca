"""A credential store of plain functions that may block: run off the event loop, one after another.

Owns the threads and the waiting. What meets another process's lock raises StoreBusy and is called again, because
neither files nor keyrings can tell when a lock is free.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple

from appserver.auth.stores import base
from appserver.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import Contents
    from appserver.worker import Worker
    from protocol.base import Secret

RETRY_SECONDS = 0.025
"""Between two tries, give or take half of it so that many processes do not try at once. Each opens the lock file."""

CALL_SECONDS = 15.0
"""What one call may take that has begun. Keyrings are given up after half of that; beyond it, a disk hangs."""

Args = TypeVarTuple("Args")
T = TypeVar("T")


class BlockingRedemption(Protocol):
    """`base.Redemption` in plain functions, and its lock. All but `begin` and `prepare` never raise."""

    def begin(self) -> None:
        """Take the lock. Raises StoreBusy where another process holds it."""

    def prepare(self) -> None: ...

    def write(self, record: dict[str, Any]) -> None: ...

    def discard(self) -> None: ...

    def has_ended(self, refresh_token: Secret) -> bool: ...

    def end(self) -> None:
        """Give the lock back."""


class BlockingStore(Protocol):
    """`base.CredentialStore` in plain functions. They wait for the keyring, and for nothing else."""

    @property
    def kind(self) -> str: ...

    @property
    def where(self) -> str: ...

    def version(self) -> Hashable: ...

    def has_record(self) -> bool: ...

    def load_in_place(self) -> Contents: ...

    def load(self) -> Contents: ...

    def save(self, credential: Credential) -> None: ...

    def swap(self, old: Credential | None, new: Credential) -> None: ...

    def delete(self, *, everywhere: bool = False) -> Credential | None: ...

    def refuse(self, refresh_token: Secret, reason: str) -> None: ...

    def record(self) -> dict[str, Any] | None: ...

    def redemption(self) -> BlockingRedemption:
        """Return the redemption of what is stored now, which is to be begun."""

    def give_up(self) -> None:
        """Wait for nothing any longer. May be called while another call runs, in another thread."""


class OffLoopStore:
    """Makes a CredentialStore of a BlockingStore."""

    def __init__(self, store: BlockingStore) -> None:
        self.version = store.version
        self.has_record = store.has_record
        self.load_in_place = store.load_in_place
        self._store = store
        self._calls = _Calls("credential store")
        self._write_ahead = _Calls("write-ahead record")  # of its own: a response must not wait for a slow keyring

    @property
    def kind(self) -> str:
        return self._store.kind

    @property
    def where(self) -> str:
        return self._store.where

    async def load(self) -> Contents:
        return await self._calls.run(self._store.load, shield=False)

    async def save(self, credential: Credential) -> None:
        await self._calls.retry(base.CHANGE_SECONDS, self._store.save, credential)

    async def swap(self, old: Credential | None, new: Credential) -> None:
        await self._calls.retry(base.STORE_SECONDS, self._store.swap, old, new)

    async def delete(self, *, everywhere: bool = False) -> Credential | None:
        return await self._calls.retry(base.CHANGE_SECONDS, lambda: self._store.delete(everywhere=everywhere))

    async def refuse(self, refresh_token: Secret, reason: str) -> None:
        await self._calls.run(self._store.refuse, refresh_token, reason)

    async def record(self) -> dict[str, Any] | None:
        return await self._calls.run(self._store.record, shield=False)

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[base.Redemption]:
        redemption = await self._calls.run(self._store.redemption)
        await self._calls.retry(base.REDEEM_PATIENCE, redemption.begin)
        try:
            yield _OffLoopRedemption(redemption, self._calls, self._write_ahead)
        finally:
            await self._calls.run(redemption.end)

    def stop_waiting(self) -> None:
        self._calls.waits = False
        self._store.give_up()

    def close(self) -> None:
        self._calls.close()
        self._write_ahead.close()


class _OffLoopRedemption:
    def __init__(self, redemption: BlockingRedemption, calls: _Calls, write_ahead: _Calls) -> None:
        self._redemption = redemption
        self._calls = calls
        self._write_ahead = write_ahead

    async def prepare(self) -> None:
        await self._calls.run(self._redemption.prepare)

    async def write(self, record: dict[str, Any]) -> None:
        await self._write_ahead.run(self._redemption.write, record)

    async def discard(self) -> None:
        await self._calls.run(self._redemption.discard)

    async def has_ended(self, refresh_token: Secret) -> bool:
        return await self._calls.run(self._redemption.has_ended, refresh_token)


class _Calls:
    """Calls in one thread, one after another."""

    def __init__(self, name: str) -> None:
        self.waits = True
        """Whether a call that meets another process's lock is made again."""
        self._name = name
        self._worker: Worker | None = None

    async def run(self, function: Callable[[*Args], T], *args: *Args, shield: bool = True) -> T:
        """Return what a function returns, or raise what it raises. StoreError where it does not come back.

        `shield`: a caller that is cancelled gets to know the outcome first.
        """
        from anyio import move_on_after  # late, like the worker: the first answers come before there is a loop

        from appserver.worker import Worker

        if self._worker is None:
            self._worker = Worker(self._name)
        with move_on_after(CALL_SECONDS, shield=shield):
            return await self._worker.run(function, *args)
        raise StoreError(f"the {self._name} has not answered within {CALL_SECONDS:g}s")

    async def retry(self, seconds: float, function: Callable[[*Args], T], *args: *Args) -> T:
        """Like `run`, and again for so many seconds where it raises StoreBusy. Cancelled only between two tries."""
        import random

        from anyio import current_time, sleep

        deadline = current_time() + seconds
        while True:
            try:
                return await self.run(function, *args)
            except StoreBusy:
                if not self.waits or current_time() >= deadline:
                    raise
            await sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads processes, no secret

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
