"""Large messages: a turn with so many megabytes of something in it, and a short turn after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.backend import TOOL, Script
from tests.benchmarks.measuring import Meter, Row
from tests.benchmarks.texts import MEGABYTE, picture, words

if TYPE_CHECKING:
    from tests.benchmarks.measuring import Figures, Site
    from tests.benchmarks.server import Message, Program

MEGABYTES = (1, 10, 30)
DELTA_CHARACTERS = 100


async def _inputs(site: Site, program: Program, megabytes: int) -> Figures:
    return await _measured(site, program, _text(words(megabytes * MEGABYTE)), Script())


async def _deltas(site: Site, program: Program, megabytes: int) -> Figures:
    script = Script(deltas=megabytes * MEGABYTE // DELTA_CHARACTERS, characters=DELTA_CHARACTERS)
    return await _measured(site, program, _text("Hello"), script)


async def _images(site: Site, program: Program, megabytes: int) -> Figures:
    content: Message = {"type": "image", "url": picture(megabytes * MEGABYTE)}
    return await _measured(site, program, content, Script())


async def _tool_outputs(site: Site, program: Program, megabytes: int) -> Figures:
    return await _measured(
        site, program, _text("Hello"), Script(calls_tool=True), tool_output=words(megabytes * MEGABYTE)
    )


async def _measured(site: Site, program: Program, content: Message, script: Script, tool_output: str = "") -> Figures:
    async with site.server(program) as server:
        tool = {"type": "function", "name": TOOL, "description": "Fetches.", "inputSchema": {"type": "object"}}
        thread = await server.start_thread(dynamicTools=[tool])
        await site.backend.answers(Script())
        await server.complete_turn(server.turn(thread, _text("Hello")))  # for what is done once in a process
        server.tool_output = tool_output
        await site.backend.answers(script)
        large, short = server.turn(thread, content), server.turn(thread, _text("And now?"))
        meter = Meter(server)
        await server.complete_turn(large)
        figures = meter.read("turn")
        await site.backend.answers(Script())
        second = Meter(server)
        await server.complete_turn(short)
        figures |= second.read("next turn") | meter.peak() | meter.disk("disk")
        sent = await site.backend.answers(Script())
        await server.close()
        return figures | meter.disk("disk at rest") | {"next request, MB": sent.bytes / MEGABYTE}


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


ROWS = [
    Row(group, size, "MB", measure)
    for group, measure in (
        ("inputs", _inputs),
        ("deltas", _deltas),
        ("images", _images),
        ("tool outputs", _tool_outputs),
    )
    for size in MEGABYTES
]
