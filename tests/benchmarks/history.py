"""Threads of many turns: resuming and forking one, and reading its first page, each in a new process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.backend import Script
from tests.benchmarks.measuring import Meter, Row
from tests.benchmarks.server import disk_of
from tests.benchmarks.texts import words

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.measuring import Figures, Site
    from tests.benchmarks.server import Program

TURNS = (10, 100, 1000)
SCRIPT = Script(deltas=10, characters=40)
PAGE = 25
"""Turns."""


async def _resume(site: Site, program: Program, turns: int) -> Figures:
    return await _measured(site, program, turns, "thread/resume", {})


async def _first_page(site: Site, program: Program, turns: int) -> Figures:
    return await _measured(site, program, turns, "thread/turns/list", {"limit": PAGE})


async def _fork(site: Site, program: Program, turns: int) -> Figures:
    return await _measured(site, program, turns, "thread/fork", {})


async def _measured(site: Site, program: Program, turns: int, method: str, params: dict[str, object]) -> Figures:
    home, thread = await _home(site, program, turns)
    disk = disk_of(home)
    async with site.server(program, home) as server:
        await server.start_thread()  # for what is done once in a process
        request = server.prepared(method, {"threadId": thread, **params})
        meter = Meter(server)
        await server.result(request)
        figures = meter.read(method) | meter.peak()
        await server.close()
    return figures | ({"disk at rest, MB": disk_of(home) - disk} if method == "thread/fork" else {})


async def _home(site: Site, program: Program, turns: int) -> tuple[Path, str]:
    """Return a home with a thread of so many turns, and the id of the thread. It is made if it is not there yet."""
    home = site.homes / f"{program.name}-{turns}-turns"
    made = home / "thread-id"
    if not made.exists():
        await site.backend.answers(SCRIPT)
        async with site.server(program, home) as server:
            thread = await server.start_thread()
            for number in range(turns):
                content = {"type": "text", "text": f"Question {number}: {words(100)}"}
                await server.complete_turn(server.turn(thread, content))
            await server.close()
        made.write_text(thread, "ascii")
    return home, made.read_text("ascii")


ROWS = [
    Row(group, size, "turns", measure)
    for group, measure in (("resume", _resume), ("first page", _first_page), ("fork", _fork))
    for size in TURNS
]
