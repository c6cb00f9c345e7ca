"""Nothing that a client sends ends the server, hangs it, or meets an internal error; each request has one answer.

Messages for every method of the protocol, by its schema, then mutated; broken lines, batches, replies to nothing; all
of it between valid sequences, so that there are threads, and turns that run. More of it:

    FUZZ_MESSAGES=50000 FUZZ_SEED=7 python -m pytest tests/fuzz

A failure names its seed, and the line that was not answered as it must be.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.run import SETTINGS, Fuzz

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "4000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.fixture(autouse=True)
def no_garbage_of_other_tests() -> None:
    """Some messages are nested to the recursion limit: what is finalized there fails, whoever has left it."""
    gc.collect()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that turns may be started with."""
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG")
    return path


@pytest.mark.usefixtures("callback_ports")  # browser logins are started, too
async def test_nothing_that_a_client_sends_is_answered_with_a_fault_of_ours(
    server: ServerFactory, backend: FakeBackend, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(*SETTINGS) as peer:
        await Fuzz(peer, backend, SEED, image).run(MESSAGES)
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not faults, f"seed {SEED}: {caplog.text}"


@pytest.mark.usefixtures("callback_ports")
async def test_nothing_that_a_client_sends_ends_the_process(
    process: ServerFactory, backend: FakeBackend, image: Path
) -> None:
    async with process(*SETTINGS) as peer:
        await Fuzz(peer, backend, SEED + 1, image).run(MESSAGES // 4)
        assert peer.process is not None
        running = peer.process
    assert running.returncode == 0
