"""What a workspace costs that nobody works in: memory, and wake-ups of the process.

    python -m tests.benchmarks.idle_workspaces [--workspaces N] [--seconds S]

A server runs in this process with one workspace, and then with N more: each of a user of its own, signed in, with a
credential store that answers after 50 ms, and with threads in memory. Prints the memory that each of them takes, and
how often the event loop wakes up within S seconds with one and with all.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import anyio

from appserver.auth.credentials import managed_tokens
from appserver.server.serve import Server
from appserver.server.workspace import Workspace
from appserver.settings import Settings
from appserver.testing import Profile, make_grant
from appserver.threads.stores.memory import MemoryThreads
from protocol.base import Secret
from tests.auth.slow_store import Database, SlowStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.auth.credentials import ManagedTokens

WORKSPACES = 200
SECONDS = 10.0
SIGNED_IN_SECONDS = 30.0
"""Until all workspaces know who is signed in."""


class WakeUps:
    """How often the event loop has come back from waiting for events."""

    count = 0


class Cost(NamedTuple):
    """What the workspaces of one server have cost."""

    bytes_each: int
    """Of memory that Python has allocated, for each workspace."""
    one: int
    """Wake-ups with one workspace."""
    all: int
    """Wake-ups with all, in the same time."""


async def measure(workspaces: int, seconds: float) -> Cost:
    """Measure so many idle workspaces."""
    with tempfile.TemporaryDirectory() as home:
        server = Server(Settings(home))
        await _signed_in(server.add(_workspace(server)))
        async with server.running():
            with counted() as one:
                await anyio.sleep(seconds)
            before = _allocated()
            added = [server.add(_workspace(server)) for _ in range(workspaces)]
            async with anyio.create_task_group() as group:
                for workspace in added:
                    group.start_soon(_signed_in, workspace)
            each = (_allocated() - before) // workspaces
            with counted() as all_of_them:
                await anyio.sleep(seconds)
            tracemalloc.stop()
    return Cost(each, one.count, all_of_them.count)


@contextmanager
def counted() -> Iterator[WakeUps]:
    """Count the wake-ups of the running event loop."""
    import asyncio

    wake_ups, selector = WakeUps(), asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # private
    select = selector.select

    def counting(timeout: float | None = None) -> object:
        if timeout != 0:  # zero: there is work already, so this is no waiting
            wake_ups.count += 1
        return select(timeout)

    selector.select = counting
    try:
        yield wake_ups
    finally:
        del selector.select


def _workspace(server: Server) -> Workspace:
    database = Database()
    database.put(database.contents._replace(credential=_login()))
    return Workspace(server.runtime, credentials=SlowStore(database), threads=MemoryThreads())


def _login() -> ManagedTokens:
    grant = make_grant(Profile())
    tokens = (Secret(grant.id_token), Secret(grant.access_token), Secret(grant.refresh_token))
    return managed_tokens(*tokens, last_refresh="2026-01-01T00:00:00Z")


async def _signed_in(workspace: Workspace) -> None:
    """Use a workspace once, so that all of it is there."""
    with anyio.fail_after(SIGNED_IN_SECONDS):
        assert await workspace.account.auth.look() is not None
    _ = workspace.threads, workspace.turns


def _allocated() -> int:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    """Print what idle workspaces cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspaces", type=int, default=WORKSPACES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    cost = anyio.run(measure, options.workspaces, options.seconds)
    sys.stdout.write(
        f"{options.workspaces} idle workspaces: {cost.bytes_each / 1024:.1f} KiB each;"
        f" wake-ups in {options.seconds:g} s: {cost.one} with one, {cost.all} with all\n"
    )


if __name__ == "__main__":
    main()
