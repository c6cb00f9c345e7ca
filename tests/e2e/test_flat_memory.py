"""A server that has run many turns is no larger than one that has run a few, but for the conversation itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.testing import text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the size of the memory from /proc"),
]

WARM_UP = 200
TURNS = 1000
TURNS_IN_A_THREAD = 20
MAX_GROWTH_MIB = 6
"""The 800 turns between the two looks leave 1,600 items behind, about 2 MiB, and what the allocator keeps."""


def memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def test_memory_is_flat_after_a_thousand_turns(process: ServerFactory, backend: FakeBackend) -> None:
    backend.model.default = lambda _: text("Hello", " there")
    async with process() as peer:
        assert peer.process is not None
        await peer.login_with_tokens(backend.grant().access_token)
        thread, warm = "", 0.0
        for number in range(TURNS):
            if number % TURNS_IN_A_THREAD == 0:
                thread = await peer.start_thread()
            if number == WARM_UP:
                warm = memory_mib(peer.process.pid)
            assert (await peer.turn(thread))["status"] == "completed"
            peer.messages.clear()
            backend.requests.clear()
        assert memory_mib(peer.process.pid) - warm < MAX_GROWTH_MIB
