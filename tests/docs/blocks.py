"""The blocks of code in the documentation, in their order, with the marks that stand above them.

A mark is a comment of HTML, so no reader sees it: `<!-- name -->` or `<!-- name: value -->`.

| mark | the block |
|---|---|
| `not run: WHY` | is not run |
| `file: NAME` | is written to that file, for the blocks after it |
| `given: COMMANDS` | is run after these, which readers have done some other way |
| `script: REPLIES` | is answered so by the model, as `appserver.testing` spells replies |
| `prints` | prints the text block that follows it at its end; `...` there stands for anything |
| `goes on` | is a program that serves until the end of the page |
| `from: PATH` | is in this file of the repository, word for word |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

MARKS = {"not run", "file", "given", "script", "prints", "goes on", "from"}

FENCE = re.compile(r"^```(?P<language>[\w-]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code. `output`: the text block right below it, if it says that it prints that."""

    place: str
    language: str
    code: str
    marks: dict[str, str]
    output: str | None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page. Raises ValueError for a mark that means nothing."""
    text = page.read_text("utf-8")
    fences = list(FENCE.finditer(text))
    found: list[Block] = []
    for at, fence in enumerate(fences):
        place = f"{page.name}:{text[: fence.start()].count(chr(10)) + 1}"
        marks = _marks(text[: fence.start()], place)
        below = fences[at + 1] if at + 1 < len(fences) else None
        output = None
        if "prints" in marks:
            if below is None or text[fence.end() : below.start()].strip():
                raise ValueError(f"{place}: no block below says what it prints")
            output = below["code"]
        found.append(Block(place, fence["language"], fence["code"], marks, output))
    return found


def _marks(above: str, place: str) -> dict[str, str]:
    marks: dict[str, str] = {}
    for line in reversed(above.splitlines()):
        mark = re.fullmatch(r"<!-- ([a-z ]+?)(?:: (.*))? -->", line.strip())
        if mark is None:
            break
        if mark[1] not in MARKS:
            raise ValueError(f"{place}: no such mark: {mark[1]}")
        marks[mark[1]] = mark[2] or ""
    return marks
