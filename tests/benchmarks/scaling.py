"""How the server's time, CPU, memory and disk grow with what it is given, beside another server of the same protocol.

    python -m tests.benchmarks.scaling [--reference 'CODEX app-server'] [--only GROUP,...] [--sizes N,...] [--rounds N]

Runs on Linux. Every measurement starts a server of its own; the two take turns, on one fake backend, which is a
process of its own. CPU and memory are those of the server's process (and its children) alone. With several rounds,
the median counts. Columns: the size, what was measured, this server, the other one, how many times ours grew for each
time that the size grew since the row of the size before (1: linear), and ours in relation to the other.

groups: inputs, deltas, images, tool outputs (1, 10, 30 MB); resume, first page, fork (threads of 10, 100, 1,000
turns); streaming (64, 256, 512, 1,000 turns at once). A thread of 1,000 turns takes minutes to make with the
reference: `--homes DIR` keeps such threads for the next run.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio

from tests.benchmarks import history, large, streaming
from tests.benchmarks.backend import running_backend
from tests.benchmarks.measuring import Figures, Site
from tests.benchmarks.server import Failed, Program

if TYPE_CHECKING:
    from tests.benchmarks.measuring import Row

OURS = (sys.executable, "-m", "appserver", "app-server")
ROWS = [*large.ROWS, *history.ROWS, *streaming.ROWS]
ROW_SECONDS = 1800.0
"""For one measurement, whatever its own bounds add up to."""


class Result(NamedTuple):
    """A row, and the figures of each program: the medians of all rounds."""

    row: Row
    figures: dict[str, Figures]


def main() -> None:
    """Measure what the command line asks for, and print each row as soon as it is measured."""
    options = _options()
    programs = [Program("ours", shlex.split(options.ours) if options.ours else OURS)]
    if options.reference:
        programs.append(Program("reference", shlex.split(options.reference)))
    rows = [row for row in ROWS if _chosen(row, options)]
    if not rows:
        sys.exit("no row has such a group and size")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        anyio.run(_run, programs, rows, options.rounds, Path(options.homes or directory).resolve())


async def _run(programs: list[Program], rows: list[Row], rounds: int, homes: Path) -> None:
    _print_line("", "", *(program.name for program in programs), "growth", "ratio")
    before: Result | None = None
    async with running_backend() as backend:
        for row in rows:
            result = Result(row, await _measured(Site(backend, homes), row, programs, rounds))
            _print_result(result, before if before is not None and before.row.group == row.group else None)
            before = result


async def _measured(site: Site, row: Row, programs: list[Program], rounds: int) -> dict[str, Figures]:
    found: dict[str, list[Figures]] = {program.name: [] for program in programs}
    for number in range(rounds):
        for program in programs if number % 2 == 0 else reversed(programs):
            try:
                with anyio.fail_after(ROW_SECONDS):
                    found[program.name].append(await row.measure(site, program, row.size))
            except* (Failed, TimeoutError, OSError) as group:
                sys.stderr.write(f"{row.group}, {row.size} {row.unit}, {program.name}: {_reason(group)}\n")
    return {name: _median(figures) for name, figures in found.items()}


def _reason(group: BaseExceptionGroup[Exception]) -> str:
    first = group.exceptions[0]
    return _reason(first) if isinstance(first, BaseExceptionGroup) else str(first)[:500] or type(first).__name__


def _median(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(figures[name] for figures in rounds) for name in (rounds[0] if rounds else ())}


def _print_result(result: Result, before: Result | None) -> None:
    row, figures = result.row, result.figures
    for name in dict.fromkeys(name for one in figures.values() for name in one):
        values = [one.get(name) for one in figures.values()]
        _print_line(
            f"{row.group}, {row.size} {row.unit}",
            name,
            *map(_number, values),
            _number(_growth(result, before, name)),
            _number(_ratio(values[0], values[1]) if len(values) > 1 else None),
        )


def _growth(result: Result, before: Result | None, name: str) -> float | None:
    """By how much more our figure has grown than the size has."""
    if before is None:
        return None
    ours, earlier = (next(iter(one.figures.values())).get(name) for one in (result, before))
    growth = _ratio(ours, earlier)
    return None if growth is None else growth / (result.row.size / before.row.size)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _print_line(row: str, name: str, *columns: str) -> None:
    sys.stdout.write(f"{row:<24}{name:<34}" + "".join(f"{column:>11}" for column in columns) + "\n")
    sys.stdout.flush()


def _chosen(row: Row, options: argparse.Namespace) -> bool:
    return (not options.only or row.group in options.only.split(",")) and (
        not options.sizes or str(row.size) in options.sizes.split(",")
    )


def _options() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ours", metavar="COMMAND", help="this server; by default the one of this Python")
    parser.add_argument("--reference", metavar="COMMAND", help="another server of the same protocol")
    parser.add_argument("--only", metavar="GROUP,...", help="measure these groups")
    parser.add_argument("--sizes", metavar="N,...", help="measure these sizes")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="measure each row so often (default: 1)")
    parser.add_argument("--homes", metavar="DIR", help="where threads of many turns are kept for the next run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
