"""A real process whose threads.db may not grow, or is deleted: turns say so, and go on afterwards."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.testing import text

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

LARGE = "x" * 1_000_000


async def test_a_turn_that_finds_no_room_fails_once_and_the_next_one_goes_on(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux limits the files of another process")
    import resource

    async with process() as peer:
        assert peer.process is not None
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        await peer.turn(thread_id, "one")
        room = (home / "threads.db-wal").stat().st_size + len(LARGE) // 2
        resource.prlimit(peer.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        backend.model.script(text(LARGE))
        failed = await peer.turn(thread_id, "two")
        assert (failed["status"], failed["error"]["kind"]) == ("failed", "threadStoreUnavailable")
        assert "threads.db" in failed["error"]["message"]
        assert (await peer.turn(thread_id, "three"))["status"] == "completed", "there is room for a small one"
        assert peer.methods.count("turn/completed") == 3
        read = await peer.result("thread/read", {"threadId": thread_id, "includeTurns": True})
        assert [len(turn["items"]) for turn in read["thread"]["turns"]] == [2, 1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted")
async def test_a_turn_survives_that_its_home_is_deleted(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        await peer.turn(thread_id, "one")
        shutil.rmtree(home)
        await peer.turn(thread_id, "two")
    backend.write_config(home)
    async with process() as peer:
        read = await peer.result("thread/read", {"threadId": thread_id, "includeTurns": True})
        assert [turn["status"] for turn in read["thread"]["turns"]] == ["completed", "completed"]
