"""The members of a thread that clients read beside its turns."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from appserver.session import PROTOCOL_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio


async def test_a_thread_tells_where_it_stands_among_others(server: ServerFactory) -> None:
    async with server() as peer:
        thread = (await peer.result("thread/start", {}))["thread"]
        assert thread["cliVersion"] == PROTOCOL_VERSION
        assert thread["historyMode"] == "paginated"
        assert thread["recencyAt"] == thread["updatedAt"]
        assert (thread["parentThreadId"], thread["threadSource"]) == (None, None)


async def test_a_threads_source_is_what_its_client_said(process: ServerFactory, backend: FakeBackend) -> None:
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread(threadSource="user")
        await peer.turn(thread_id)
    async with process() as peer:
        assert (await peer.result("thread/read", {"threadId": thread_id}))["thread"]["threadSource"] == "user"
        forked = (await peer.result("thread/fork", {"threadId": thread_id, "threadSource": "feature"}))["thread"]
        assert forked["threadSource"] == "feature"
        assert (await peer.result("thread/fork", {"threadId": thread_id}))["thread"]["threadSource"] is None


async def test_tokens_that_a_prompt_cache_took_are_counted(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.turn(await peer.start_thread())
        usage = (await peer.notification("thread/tokenUsage/updated"))["tokenUsage"]
        assert (usage["last"]["cacheWriteInputTokens"], usage["total"]["cacheWriteInputTokens"]) == (0, 0)


async def test_a_thread_of_an_earlier_version_is_loaded_with_what_that_did_not_know(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        await peer.turn(thread_id)
    with sqlite3.connect(home / "threads.db") as database:
        database.execute(
            "UPDATE threads SET usage = json_remove(usage, '$.cacheWriteInputTokens'),"
            " metadata = json_remove(metadata, '$.thread_source')"
        )
    database.close()
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.result("thread/resume", {"threadId": thread_id})
        assert (await peer.turn(thread_id))["status"] == "completed"
