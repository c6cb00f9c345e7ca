"""Many clients on one server, some of them slow to read: is everybody told everything, and what does it cost?

    python -m tests.benchmarks.several_clients [--clients 50] [--slow 10] [--turns 200]

A server listens at a unix socket; the model backend, and a client that reads the account every 10 ms, are processes of
their own. Each of the other clients follows two of twenty threads, and each thread has its turns one after the other.
A slow client reads a few kilobytes and then waits; once the last turn has ended it reads the rest as fast as it can.

Checks that each client was told every delta of every turn of its threads, in order, and prints the server's memory and
CPU time, and how long the account took to be read.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from appserver.testing.home import environ, write_config
from appserver.transport.framing import LineSplitter
from appserver.transport.sockets import SocketStream
from appserver.transport.unix_path import connect
from tests.benchmarks.backend import Script, running_backend
from tests.listening import listening, unix_peer

if TYPE_CHECKING:
    from anyio.abc import Process

    from tests.listening import Listening
    from tests.peer import Message, Peer

THREADS: Final = 20
THREADS_OF_A_CLIENT: Final = 2
SCRIPT: Final = Script(deltas=100, characters=20, gap=0.01)
"""One answer takes a second, as a model of the faster kind does."""

STAGGER_SECONDS: Final = 0.05
"""Between the first turns of two threads: people do not start theirs in the same millisecond."""

PROBE_SECONDS: Final = 0.01
AIM_MILLISECONDS: Final = 20.0

SLOW_BYTES: Final = 2048
SLOW_SECONDS: Final = 0.25
"""A slow client reads so much and then waits for so long: a fifth of what it is told."""

SMALL_BUFFER_BYTES: Final = 4096
"""What the system keeps for a slow client, as far as it lets itself be told."""

CREDENTIAL: Final = {"type": "apiKey", "apiKey": "sk-benchmark"}


class Client:
    """Follows threads and notes what it is told of their turns."""

    def __init__(self, path: str, *, is_slow: bool) -> None:
        connected = connect(path)
        if is_slow:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        self._stream = SocketStream(connected)
        self._is_slow = is_slow
        self._splitter = LineSplitter()
        self.deltas = 0
        self.ended = 0
        self.wrong: list[str] = []
        self._texts: dict[str, list[str]] = defaultdict(list)
        self.closed = False

    async def introduce(self, threads: list[str]) -> None:
        """Shake hands and follow the threads."""
        lines = [{"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "client", "version": "1"}}}]
        for number, thread in enumerate(threads):
            params = {"threadId": thread, "excludeTurns": True}
            lines.append({"id": 2 + number, "method": "thread/resume", "params": params})
        await self._stream.send(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    async def run(self, hurry: anyio.Event) -> None:
        """Read to the end; a slow client slowly until it is told to hurry."""
        while chunk := await self._stream.receive():
            for start in range(0, len(chunk), SLOW_BYTES):
                if self._is_slow:
                    with anyio.move_on_after(SLOW_SECONDS):
                        await hurry.wait()
                for line in self._splitter.feed(chunk[start : start + SLOW_BYTES]):
                    self._take(json.loads(bytes(line)))  # type: ignore[arg-type] # none is oversized
        self.closed = True

    def _take(self, message: Message) -> None:
        params = message.get("params") or {}
        if message.get("method") == "item/agentMessage/delta":
            self.deltas += 1
            self._texts[params["turnId"]].append(params["delta"])
        elif message.get("method") == "item/completed" and params["item"]["type"] == "agentMessage":
            if "".join(self._texts.pop(params["turnId"], [])) != params["item"]["text"]:
                self.wrong.append(params["turnId"])
        elif message.get("method") == "turn/completed":
            self.ended += 1

    def close(self) -> None:
        self._stream.close()


def main() -> None:
    """Measure, or read the account for the process that measures."""
    options = _options()
    if options.probe:
        _probe(options.probe)
    else:
        anyio.run(_measure, options.clients, options.slow, options.turns)


async def _measure(clients: int, slow: int, turns: int) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        home, path = Path(directory), f"{directory}/s"
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(running_backend())
            await backend.answers(SCRIPT)
            write_config(backend.url, home)
            words = ["--listen", f"unix://{path}"]
            server = await stack.enter_async_context(listening(environ(backend.url, home), *words))
            driver = await stack.enter_async_context(unix_peer(path, None))
            await driver.initialize("driver", optOutNotificationMethods=["item/agentMessage/delta"])
            await driver.result("account/login/start", CREDENTIAL)
            threads = [await driver.start_thread() for _ in range(THREADS)]
            for thread in threads:
                await driver.result("thread/name/set", {"threadId": thread, "name": "benchmark"})
            await driver.turn(await driver.start_thread())  # imports what turns need
            await _run(server, driver, path, threads, (clients, slow, turns))


async def _run(server: Listening, driver: Peer, path: str, threads: list[str], sizes: tuple[int, int, int]) -> None:
    clients, slow, turns = sizes
    before, cpu, began = _memory(server, "VmRSS"), _cpu(server), time.perf_counter()
    hurry, several = anyio.Event(), [Client(path, is_slow=number < slow) for number in range(clients)]
    async with anyio.create_task_group() as group:
        for number, client in enumerate(several):
            apart = THREADS // THREADS_OF_A_CLIENT
            followed = [threads[(number + apart * place) % THREADS] for place in range(THREADS_OF_A_CLIENT)]
            await client.introduce(followed)
            group.start_soon(client.run, hurry)
        probe = await anyio.open_process(
            [sys.executable, "-m", "tests.benchmarks.several_clients", "--probe", path], stdin=subprocess.PIPE
        )
        async with anyio.create_task_group() as running:
            for number, thread in enumerate(threads):
                running.start_soon(_turns, driver, thread, turns // THREADS, number * STAGGER_SECONDS)
        seconds, behind = time.perf_counter() - began, sum(client.ended for client in several[:slow])
        latencies = await _stop(probe)
        hurry.set()
        expected = turns // THREADS * THREADS_OF_A_CLIENT
        with anyio.move_on_after(60):
            while any(client.ended < expected and not client.closed for client in several):  # noqa: ASYNC110
                await anyio.sleep(0.1)
        used, peak, after = _cpu(server) - cpu, _memory(server, "VmHWM"), _memory(server, "VmRSS")
        for client in several:
            client.close()
        group.cancel_scope.cancel()
    complete = sum(client.ended == expected and not client.wrong for client in several)
    told = sum(client.deltas for client in several)
    _print(f"{turns} turns of {SCRIPT.deltas} deltas in {seconds:.1f} s, {clients} clients, {slow} of them slow")
    _print(f"  told everything in order      {complete} of {clients} clients; {told} deltas, joined ones counted once")
    _print(f"  slow clients, when the last turn had ended: had heard of the end of {behind} of {slow * expected} turns")
    _print(f"  memory of the server, MiB     {before:.0f} before, {peak:.0f} at most, {after:.0f} at the end")
    _print(f"  CPU of the server, s          {used:.1f}")
    quantiles = statistics.quantiles(latencies, n=100)
    shown = f"{quantiles[49]:.1f} median, {quantiles[98]:.1f} p99, {max(latencies):.1f} at most"
    _print(f"  account/read, ms              {shown} ({len(latencies)} times; the aim: p99 below {AIM_MILLISECONDS:g})")


async def _turns(driver: Peer, thread: str, count: int, delay: float) -> None:
    await anyio.sleep(delay)
    for _ in range(count):
        turn = await driver.turn(thread)
        assert turn["status"] == "completed", turn


def _probe(path: str) -> None:
    """Read the account again and again until stdin ends; then print how long each took, in milliseconds."""
    import select

    connected = connect(path)
    lines = connected.makefile("rwb")
    request = {"id": 0, "method": "initialize", "params": {"clientInfo": {"name": "probe", "version": "1"}}}
    latencies = []
    while not select.select([0], [], [], PROBE_SECONDS)[0]:
        began = time.perf_counter()
        lines.write(json.dumps(request).encode() + b"\n")
        lines.flush()
        while json.loads(lines.readline()).get("id") != request["id"]:
            pass
        latencies.append((time.perf_counter() - began) * 1000)
        request = {"id": len(latencies), "method": "account/read"}
    _print(json.dumps(latencies[1:]))


async def _stop(probe: Process) -> list[float]:
    assert probe.stdin is not None
    assert probe.stdout is not None
    await probe.stdin.aclose()
    printed = b"".join([chunk async for chunk in probe.stdout])
    await probe.wait()
    found: list[float] = json.loads(printed)
    return found


def _memory(server: Listening, name: str) -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _cpu(server: Listening) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.several_clients", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
