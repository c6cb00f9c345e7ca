"""A server that has run many turns holds no more than one that has run a few.

Counts the blocks that Python has allocated and not freed. The size of the process is the allocator's business and
differs between machines; the size of a block may be that of a table of the interpreter that has just grown.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from anyio import wait_all_tasks_blocked

from appserver.testing import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

WARM_UP_THREADS = 10
THREADS = 60
TURNS_IN_A_THREAD = 10
MAX_BLOCKS_PER_TURN = 0.5
"""Whatever is kept of each turn, if only its id, is one at least."""

NOT_COUNTED = (
    "*/appserver/testing/*",
    "*/appserver/loopback/*",  # the backend's server
    "*/fnmatch.py",  # the filter itself
    "*/tests/*",
    tracemalloc.__file__,
    # What fills up by and by, and has a bound: timers that were cancelled, and the interpreter's cache of attributes.
    "*/asyncio/*events.py",
    "*/_distutils_hack/*",
    "*/re/__init__.py",
)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def held() -> tracemalloc.Snapshot:
    await wait_all_tasks_blocked()  # the backend's tasks hold a different number of blocks while they run
    gc.collect()
    return tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=False, filename_pattern=pattern) for pattern in NOT_COUNTED]
    )


async def run_threads(peer: Peer, backend: FakeBackend, count: int) -> None:
    """Run turns in so many threads, and leave nothing of them behind that anybody could ask for."""
    for _ in range(count):
        thread = await peer.start_thread()
        for _ in range(TURNS_IN_A_THREAD):
            assert (await peer.turn(thread))["status"] == "completed"
        await peer.result("thread/delete", {"threadId": thread})
        peer.forget()
        backend.requests.clear()


@pytest.mark.usefixtures("traced")
async def test_memory_is_flat_after_hundreds_of_turns(server: ServerFactory, backend: FakeBackend) -> None:
    backend.model.default = lambda _: text("Hello", " there")
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await run_threads(peer, backend, WARM_UP_THREADS)
        before = await held()
        await run_threads(peer, backend, THREADS)
        after = await held()
    kept = (len(after.traces) - len(before.traces)) / (THREADS * TURNS_IN_A_THREAD)
    lines = sorted(after.compare_to(before, "lineno"), key=lambda line: -line.count_diff)
    assert kept < MAX_BLOCKS_PER_TURN, "\n".join(map(str, lines[:10]))
