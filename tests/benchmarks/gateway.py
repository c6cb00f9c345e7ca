"""The gateway beside its backend, asked directly, and beside LiteLLM's proxy: what each adds, and what it costs.

`python -m tests.benchmarks.gateway --litellm PROGRAM`; PROGRAM is installed apart: `pip install 'litellm[proxy]'`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from tests.benchmarks.backend import Script, running_backend
from tests.benchmarks.gateway_targets import direct, gateway, litellm
from tests.benchmarks.http_load import Counter, connected
from tests.benchmarks.server import Failed, used_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.backend import BackendProcess
    from tests.benchmarks.gateway_targets import Target
    from tests.benchmarks.measuring import Figures

SAMPLES = 300
"""Requests one after the other, for the latency."""

CONNECTIONS = 32
LOAD_SECONDS = 6.0

STREAMS = 200
PACED = Script(deltas=20_000, characters=20, gap=0.1)
"""Ten deltas a second in each stream, each by itself: slower than models mostly are."""

FLOOD = Script(deltas=2_000, characters=20)
"""An answer that comes as fast as it can be read."""
FLOODS, FLOODS_AT_ONCE = 32, 8

WARM_UP = 20


async def latencies(targets: Iterable[Target], figures: dict[str, Figures]) -> None:
    """Ask all in turn, so that what else the machine does is the same for each."""
    counter, taken = Counter(), dict[str, list[float]]()
    async with AsyncExitStack() as stack:
        connections = [
            (target.name, await stack.enter_async_context(connected(target.requests[0], counter))) for target in targets
        ]
        for number in range(WARM_UP + SAMPLES):
            for name, connection in connections:
                answer = await connection.ask()
                if number >= WARM_UP:
                    taken.setdefault(name, []).append(answer.whole * 1000)
    base = _percentiles(taken["direct"])
    for name, values in taken.items():
        p50, p99 = _percentiles(values)
        added = {} if name == "direct" else {"added p50, ms": p50 - base[0], "added p99, ms": p99 - base[1]}
        figures[name] |= {"p50, ms": p50, "p99, ms": p99, **added}


async def requests(target: Target) -> Figures:
    """Ask over many connections at once, for a while."""
    counter, done = Counter(), 0
    began, cpu, database = time.perf_counter(), _cpu(target), _database_cpu(target)
    until = began + LOAD_SECONDS

    async def one(number: int) -> None:
        nonlocal done
        async with connected(target.requests[number % len(target.requests)], counter) as connection:
            while time.perf_counter() < until:
                await connection.ask()
                done += 1

    async with anyio.create_task_group() as group:
        for number in range(CONNECTIONS):
            group.start_soon(one, number)
    figures = {"requests per second": done / (time.perf_counter() - began)}
    if target.pids:
        figures["CPU of a request, ms"] = (_cpu(target) - cpu) / done * 1000
    if target.database:
        figures["and of the database, ms"] = (_database_cpu(target) - database) / done * 1000
    return figures


async def streams(target: Target) -> Figures:
    """Have many answers come slowly, each delta by itself."""
    counter = Counter()

    async def one(number: int) -> None:
        async with connected(target.requests[number % len(target.requests)], counter) as connection:
            await connection.ask()

    async with anyio.create_task_group() as group:
        for number in range(STREAMS):
            group.start_soon(one, number)
        with anyio.fail_after(60):
            while counter.streaming < STREAMS:  # noqa: ASYNC110 - looked at for every delta otherwise
                await anyio.sleep(0.05)
        deltas, cpu, began = counter.deltas, _cpu(target), time.perf_counter()
        await anyio.sleep(LOAD_SECONDS)
        deltas, seconds = counter.deltas - deltas, time.perf_counter() - began
        figures = {"200 streams: on time, %": deltas / (STREAMS * seconds / PACED.gap) * 100}
        if target.pids:
            figures["200 streams: CPU of a delta, µs"] = (_cpu(target) - cpu) / deltas * 1e6
            figures["200 streams: memory, MB"] = used_by(*target.pids).peak
        group.cancel_scope.cancel()
    return figures


async def floods(target: Target) -> Figures:
    """Have long answers come as fast as they can."""
    counter, began, cpu = Counter(), time.perf_counter(), _cpu(target)
    limit = anyio.CapacityLimiter(FLOODS_AT_ONCE)

    async def one(number: int) -> None:
        async with limit, connected(target.requests[number % len(target.requests)], counter) as connection:
            await connection.ask()

    async with anyio.create_task_group() as group:
        for number in range(FLOODS):
            group.start_soon(one, number)
    figures = {"flood: deltas per second": counter.deltas / (time.perf_counter() - began)}
    if target.pids:
        figures["flood: CPU of a delta, µs"] = (_cpu(target) - cpu) / counter.deltas * 1e6
    return figures


async def measure(backend: BackendProcess, program: str | None) -> dict[str, Figures]:
    """Measure everything in one run."""
    async with AsyncExitStack() as stack:
        targets = [
            direct(backend.url),
            await stack.enter_async_context(gateway(backend.url, nodes=1, postgres=False)),
            await stack.enter_async_context(gateway(backend.url, nodes=1, postgres=True)),
            await stack.enter_async_context(gateway(backend.url, nodes=2, postgres=True)),
        ]
        if program:
            targets.append(await stack.enter_async_context(litellm(program, backend.url)))
        figures: dict[str, Figures] = {target.name: {} for target in targets}
        await backend.answers(Script(characters=40))
        await latencies(targets, figures)
        for script, part in ((Script(characters=40), requests), (PACED, streams), (FLOOD, floods)):
            await backend.answers(script)
            for target in targets:
                sys.stderr.write(f"{part.__name__}: {target.name}\n")
                figures[target.name] |= await part(target)
    return figures


def table(figures: dict[str, Figures]) -> list[str]:
    """Return the lines of a table, with LiteLLM's figures in relation to one node's on PostgreSQL."""
    names = list(figures)
    lines = ["| | " + " | ".join([*names, "LiteLLM : 1 on PostgreSQL"]) + " |", "|---" * (len(names) + 2) + "|"]
    for row in dict.fromkeys(row for column in figures.values() for row in column):
        values = [figures[name].get(row) for name in names]
        ours, theirs = (figures.get(name, {}).get(row) for name in ("1 on PostgreSQL", "LiteLLM"))
        ratio = f"{theirs / ours:.2f}" if ours and theirs else ""
        cells = ["" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in values]
        lines.append("| " + " | ".join([row, *cells, ratio]) + " |")
    return lines


def _percentiles(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


def _cpu(target: Target) -> float:
    return used_by(*target.pids).cpu


def _database_cpu(target: Target) -> float:
    return used_by(*target.database).cpu


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", metavar="PROGRAM", help="LiteLLM's proxy, to compare with")
    arguments = parser.parse_args()
    async with running_backend() as backend:
        try:
            figures = await measure(backend, arguments.litellm)
        except Failed as exc:
            sys.exit(f"could not be measured: {exc}")
    sys.stdout.write("\n".join((*table(figures), "")))


if __name__ == "__main__":
    anyio.run(main)
