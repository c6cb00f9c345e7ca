"""Many turns that stream at once: what a delta costs, and how long other requests wait meanwhile."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import anyio

from tests.benchmarks.backend import Script
from tests.benchmarks.measuring import Meter, Row
from tests.benchmarks.server import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.benchmarks.measuring import Figures, Site
    from tests.benchmarks.server import Program, Server

TURNS = (64, 256, 512, 1000)
SCRIPT = Script(deltas=20_000, characters=20, gap=0.2)
"""Longer than any measurement takes: five deltas a second, so that the machine can do it at a thousand turns."""

AT_ONCE = 16
"""Requests in flight while threads and turns are being started."""

START_SECONDS = 240.0
"""For all turns to stream."""

WINDOW_SECONDS = 8.0
"""What the cost of a delta is measured over."""

SAMPLES = 20
PAUSE_SECONDS = 0.1
"""Between requests whose latency is measured."""

POLL_SECONDS = 0.05


async def _streaming(site: Site, program: Program, turns: int) -> Figures:
    await site.backend.answers(SCRIPT)
    async with site.server(program) as server:
        began = time.perf_counter()
        threads: list[str] = []
        running: list[tuple[str, str]] = []

        async def start() -> None:
            threads.append(await server.start_thread())

        async def run() -> None:
            thread = threads.pop()
            running.append((thread, await server.start_turn(server.turn(thread, {"type": "text", "text": "Hello"}))))

        await _times(turns, start)
        await _times(turns, run)
        await _until_all_stream(server, turns)
        figures = {"until all stream: time, s": time.perf_counter() - began}
        figures |= await _cost_of_deltas(server, turns)
        figures |= await _latencies(server, running)
        return figures | Meter(server).peak()


async def _times(count: int, call: Callable[[], Awaitable[None]]) -> None:
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def limited() -> None:
        async with limit:
            await call()

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(limited)


async def _until_all_stream(server: Server, turns: int) -> None:
    with anyio.move_on_after(START_SECONDS):
        while len(server.streaming) < turns:  # noqa: ASYNC110 - looked at for every delta otherwise
            await anyio.sleep(POLL_SECONDS)
        return
    raise Failed(f"{len(server.streaming)} of {turns} turns streamed within {START_SECONDS:g} s")


async def _cost_of_deltas(server: Server, turns: int) -> Figures:
    characters, cpu, began = server.characters, server.used().cpu, time.perf_counter()
    await anyio.sleep(WINDOW_SECONDS)
    deltas = (server.characters - characters) / SCRIPT.characters
    seconds, cpu = time.perf_counter() - began, server.used().cpu - cpu
    return {"a delta: CPU, µs": cpu / deltas * 1e6, "deltas: on time, %": deltas / (turns * seconds / SCRIPT.gap) * 100}


async def _latencies(server: Server, running: list[tuple[str, str]]) -> Figures:
    """Send one request of each kind after the other. Every sample interrupts a turn."""
    samples: dict[str, list[float]] = {}

    async def sample(name: str, call: Awaitable[object], since: float | None = None) -> None:
        began = time.perf_counter() if since is None else since
        await call
        samples.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    for thread, turn in running[:SAMPLES]:
        await sample("account/read", server.request("account/read"))
        await sample("thread/start", server.request("thread/start"))
        interrupted = time.perf_counter()
        await sample("turn/interrupt", server.request("turn/interrupt", {"threadId": thread, "turnId": turn}))
        await sample("its turn/completed", server.end_of_turn(turn), since=interrupted)
        await anyio.sleep(PAUSE_SECONDS)
    figures: Figures = {}
    for name, values in samples.items():
        figures |= {f"{name}: median, ms": statistics.median(values), f"{name}: worst, ms": max(values)}
    return figures


ROWS = [Row("streaming", size, "turns", _streaming) for size in TURNS]
