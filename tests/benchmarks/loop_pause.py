"""The longest pause of the server's event loop while another process holds a lock that it needs.

    python -m tests.benchmarks.loop_pause [--turns N]

A server runs in this process, as a process of its own would start it, with a heartbeat in its loop; the model backend
is another process. All turns stream the whole time, and their messages end once a second, so that finished items are
written. For each lock in turn, a third process holds it for two seconds while requests are sent that need it.

Prints the longest pause of the loop for each, the CPU time and the garbage collection in it, and what ran if it was
long enough for a look. Nothing but the wait for the next event may hold up the loop: the aim is less than 50 ms,
imports, garbage collections and large messages included.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from appserver.auth.stores.file_lock import FileLock
from appserver.errors import StoreBusy
from appserver.memory import collect_as_usual, collect_rarely
from appserver.server.startup import AHEAD_OF_USE, import_ahead
from appserver.settings import load_settings
from appserver.testing.home import environ, write_config
from tests.benchmarks.backend import Script, running_backend
from tests.benchmarks.heartbeat import Heartbeat, Pause
from tests.peer import in_memory
from tests.threads.records import locked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    from tests.peer import Message, Peer

AIM_SECONDS: Final = 0.05
HELD_SECONDS: Final = 2.0
CALM_SECONDS: Final = 1.0
"""Before each measurement and after the lock is free: what has waited for it goes on then."""

TURNS: Final = 64
SCRIPT: Final = Script(messages=10_000, deltas=5, characters=20, gap=0.2)
"""A message a second in each turn, for longer than the measurement takes."""

EVERY_SECONDS: Final = 0.02
"""Between two requests of one kind."""

KEY: Final = {"type": "apiKey", "apiKey": "sk-benchmark"}
DEVICE: Final = {"type": "chatgptDeviceCode"}

LOCKS: Final[dict[str, Callable[[Path], AbstractContextManager[object]]]] = {
    "threads.db, write lock": lambda home: locked(home / "threads.db"),
    "auth.json, change lock": lambda home: FileLock(home / "auth.json", "change", 0).held(),
    "auth.json, redemption lock": lambda home: FileLock(home / "auth.json", "refresh", 0).held(),
}


class Answers:
    """What was answered during a measurement; the slowest answer shows that the lock was in the way."""

    def __init__(self) -> None:
        self.results = self.errors = self.items = 0
        self.slowest = 0.0

    def add(self, response: Message, seconds: float) -> None:
        if "result" in response:
            self.results += 1
        else:
            self.errors += 1  # a wait for a lock has a bound
        self.slowest = max(self.slowest, seconds)

    def __str__(self) -> str:
        return (
            f"{self.results} results, {self.errors} errors, the slowest after {self.slowest:.1f} s; "
            f"{self.items} items finished"
        )


def main() -> None:
    """Measure, or hold a lock for the process that measures."""
    options = _options()
    if options.hold:
        _hold(options.hold, Path(options.home))
    else:
        collect_rarely()
        for module in AHEAD_OF_USE:
            import_ahead(module)
        anyio.run(_measure, options.turns)


async def _measure(turns: int) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        home = Path(directory)
        async with running_backend() as backend:
            await backend.answers(SCRIPT)
            write_config(backend.url, home)
            async with in_memory(load_settings(environ(backend.url, home))) as peer, anyio.create_task_group() as group:
                heartbeat = Heartbeat()
                group.start_soon(heartbeat.run)
                group.start_soon(collect_as_usual)
                threads = await _start(peer, turns)
                _print("the first requests", heartbeat.take())
                for name in (None, *LOCKS):
                    await _sign_in(peer)
                    await anyio.sleep(CALM_SECONDS)
                    heartbeat.take()
                    answers = await _use(peer, threads, name, home)
                    _print(name or "no lock", heartbeat.take(), answers)
                group.cancel_scope.cancel()


async def _start(peer: Peer, turns: int) -> list[str]:
    """Sign in and start all turns. Returns the ids of their threads."""
    await _sign_in(peer)
    threads = [await peer.start_thread() for _ in range(turns)]
    for thread in threads:
        await peer.start_turn(thread)
    return threads


async def _sign_in(peer: Peer) -> None:
    """Sign in with a device code: such a login has a refresh token."""
    peer.forget()  # else looking for a notification among them takes longer and longer
    login = (await peer.result("account/login/start", DEVICE))["loginId"]
    await peer.notification("account/login/completed", loginId=login, success=True)


async def _use(peer: Peer, threads: list[str], lock: str | None, home: Path) -> Answers:
    """Send requests of each kind side by side while another process holds the lock, and a little longer."""
    answers, items = Answers(), peer.methods.count("item/completed")
    calls: list[list[tuple[str, object]]] = [
        [("account/read", {})],
        [("account/read", {"refreshToken": True}), ("account/logout", {}), ("account/login/start", KEY)],
        [("thread/start", {})],
        [("thread/name/set", {"threadId": threads[0], "name": "a"})],
    ]
    ends = anyio.current_time() + HELD_SECONDS + CALM_SECONDS

    async def repeat(kind: list[tuple[str, object]]) -> None:
        while anyio.current_time() < ends:
            for method, params in kind:
                await anyio.sleep(EVERY_SECONDS)
                began = anyio.current_time()
                answers.add(await peer.call(method, params), anyio.current_time() - began)

    async with _held(lock, home), anyio.create_task_group() as group:
        for kind in calls:
            group.start_soon(repeat, kind)
    answers.items = peer.methods.count("item/completed") - items
    return answers


@asynccontextmanager
async def _held(lock: str | None, home: Path) -> AsyncIterator[None]:
    """Have another process take the lock; it gives it back by itself."""
    if lock is None:
        yield
        return
    command = [sys.executable, "-m", "tests.benchmarks.loop_pause", "--hold", lock, "--home", str(home)]
    async with await anyio.open_process(command, stderr=None) as holder:
        assert holder.stdout is not None
        await holder.stdout.receive()
        yield
        await holder.wait()


def _hold(lock: str, home: Path) -> None:
    """Hold a lock, and print a line as soon as it is held. A process that uses it is in the way only for a moment."""
    while True:
        with suppress(StoreBusy, sqlite3.OperationalError), LOCKS[lock](home):
            sys.stdout.write("held\n")
            sys.stdout.flush()
            time.sleep(HELD_SECONDS)
            return


def _print(name: str, pause: Pause, answers: Answers | None = None) -> None:
    milliseconds = f"{pause.seconds * 1000:.0f} ms{' (!)' if pause.seconds >= AIM_SECONDS else ''}"
    sys.stdout.write(f"{name:<28}{milliseconds:<12}CPU {pause.cpu * 1000:.0f}, collector {pause.collecting * 1000:.0f}")
    sys.stdout.write(f"  {answers or ''}\n" + (f"    {pause.stack}\n" if pause.stack else ""))
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.loop_pause", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--turns", type=int, default=TURNS, help=f"that stream at once (default: {TURNS})")
    parser.add_argument("--hold", choices=list(LOCKS), help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
