"""The garbage collector does not run while the process starts, and only then."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from appserver import memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.anyio
async def test_garbage_is_collected_rarely_at_first_and_then_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WARM_SECONDS", 0.0)
    usual = gc.get_threshold()
    memory.collect_rarely()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == memory.START_THRESHOLD
    frozen, collections = gc.get_freeze_count(), gc.get_stats()[2]["collections"]
    await memory.collect_as_usual()
    assert gc.get_threshold() == usual
    assert gc.get_freeze_count() > frozen
    assert gc.get_stats()[2]["collections"] == collections  # a full one would hold up the event loop
