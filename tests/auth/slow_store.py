"""A credential store that answers after a while, as a database on another machine does.

`Database` is what several processes share; each has a `SlowStore` on it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from appserver.auth.stores import base
from appserver.auth.stores.base import Contents
from appserver.errors import StoreBusy, StoreChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from appserver.auth.credentials import Credential
    from protocol.base import Secret

ANSWER_SECONDS = 0.05
"""What each call takes."""


class Database:
    """One row."""

    def __init__(self) -> None:
        self.contents = Contents()
        self.version = 0
        self.record: dict[str, Any] | None = None
        self.redeeming: set[object] = set()
        self.ended: set[Secret] = set()

    def put(self, contents: Contents) -> None:
        self.contents = contents
        self.version += 1


class SlowStore:
    """Keeps the credential in a database. Changes are transactions: once begun, they are not cancelled."""

    kind = "ephemeral"
    where = "a database"

    def __init__(self, database: Database) -> None:
        self._row = database
        self._stopped = False

    def version(self) -> Hashable:
        return self._row.version  # as a watcher has told it

    def has_record(self) -> bool:
        return self._row.record is not None

    def load_in_place(self) -> Contents:
        raise StoreBusy("the database was not asked yet")

    async def load(self) -> Contents:
        await anyio.sleep(ANSWER_SECONDS)
        return self._row.contents

    async def save(self, credential: Credential) -> None:
        await _round_trip()
        self._change(Contents(credential))

    async def swap(self, old: Credential | None, new: Credential) -> None:
        await _round_trip()
        if self._row.contents.credential != old:
            raise StoreChangedError("the stored credential has changed")
        self._change(Contents(new))

    async def delete(self, *, everywhere: bool = False) -> Credential | None:
        await _round_trip()
        found = self._row.contents.credential
        if everywhere and self._row.redeeming and found and found.refresh_token:
            self._row.ended.add(found.refresh_token)
        self._change(Contents())
        return found

    async def refuse(self, refresh_token: Secret, reason: str) -> None:
        await _round_trip()
        credential = self._row.contents.credential
        if credential is not None and credential.refresh_token == refresh_token:
            self._row.put(Contents(credential, reason))

    async def record(self) -> dict[str, Any] | None:
        await anyio.sleep(ANSWER_SECONDS)
        return self._row.record

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[base.Redemption]:
        deadline = anyio.current_time() + base.REDEEM_PATIENCE
        while self._row.redeeming:
            if self._stopped or anyio.current_time() >= deadline:
                raise StoreBusy("the row is locked: held by another process")
            await anyio.sleep(0.001)
        self._row.redeeming.add(self)
        try:
            await _round_trip()
            yield _Redemption(self._row)
        finally:
            self._row.redeeming.discard(self)
            self._row.ended.clear()

    def stop_waiting(self) -> None:
        self._stopped = True

    def close(self) -> None:
        pass

    def _change(self, contents: Contents) -> None:
        self._row.put(contents)
        self._row.record = None


class _Redemption:
    def __init__(self, row: Database) -> None:
        self._row = row

    async def prepare(self) -> None:
        await _round_trip()
        self._row.record = None

    async def write(self, record: dict[str, Any]) -> None:
        await _round_trip()
        self._row.record = record

    async def discard(self) -> None:
        await _round_trip()
        self._row.record = None

    async def has_ended(self, refresh_token: Secret) -> bool:
        await _round_trip()
        return refresh_token in self._row.ended


async def _round_trip() -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(ANSWER_SECONDS)
