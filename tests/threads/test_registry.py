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


class Refusing(MemoryThreads):
    """A store that takes no thread."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def add(self, thread: ThreadRecord, past: Sequence[StoredTurn] = (), before: Sequence[Entry] = ()) -> None:
        raise ThreadStoreError("threads.db: no", self.kind)


def test_in_a_home_that_is_read_only_a_thread_is_ephemeral_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    threads, record = Threads(Refusing(READ_ONLY), lambda _: FAKE), thread("Hello")
    threads.add(record)
    run(threads.get(record.id), "one")
    assert threads.metadata(record.id).ephemeral
    assert "threads are ephemeral here" in caplog.text


def test_a_database_that_fails_otherwise_takes_no_thread() -> None:
    threads, record = Threads(Refusing("threadStoreCorrupt"), lambda _: FAKE), thread("Hello")
    with pytest.raises(ThreadStoreError):
        threads.add(record)
    assert threads.loaded() == []


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_a_file_that_must_not_be_written_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ThreadStoreError) as caught:
        SqliteThreads(str(tmp_path)).page(ThreadQuery())
    assert caught.value.kind == READ_ONLY
