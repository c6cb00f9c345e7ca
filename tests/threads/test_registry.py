from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.errors import ThreadStoreError
from appserver.threads.paging import ThreadQuery
from appserver.threads.registry import Threads
from appserver.threads.stores.base import READ_ONLY
from appserver.threads.stores.memory import MemoryThreads
from appserver.threads.stores.sqlite.store import SqliteThreads
from tests.threads.records import FAKE, run, thread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appserver.threads.record import ThreadRecord
    from appserver.threads.transcript import Entry, StoredTurn

pytestmark = pytest.mark.anyio


class Refusing(MemoryThreads):
    """A store that takes no thread."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        raise ThreadStoreError("threads.db: no", self.kind)


async def test_in_a_home_that_is_read_only_a_thread_is_ephemeral_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    threads, record = Threads(Refusing(READ_ONLY), lambda _: FAKE), thread("Hello")
    await threads.add(record)
    await run(threads.get(record.id), "one")
    assert (await threads.metadata(record.id)).ephemeral
    assert "threads are ephemeral here" in caplog.text


async def test_a_database_that_fails_otherwise_takes_no_thread() -> None:
    threads, record = Threads(Refusing("threadStoreCorrupt"), lambda _: FAKE), thread("Hello")
    with pytest.raises(ThreadStoreError):
        await threads.add(record)
    assert await threads.loaded() == []


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
async def test_a_file_that_must_not_be_written_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ThreadStoreError) as caught:
        await SqliteThreads(str(tmp_path)).page(ThreadQuery())
    assert caught.value.kind == READ_ONLY
