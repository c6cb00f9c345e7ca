"""Sequence diagrams as SVG, drawn when the site is built: a page needs no script for them.

A diagram is written as a Mermaid block, which forges draw themselves. The part of that language that is understood:
`participant A as Name`, `A->>B: text`, `A-->>B: text`, `Note over A,B: text`. Pure.
"""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

COLUMN: Final = 176
ROW: Final = 46
HEAD: Final = 56
MARGIN: Final = 76

BLOCK: Final = re.compile(r"^```mermaid\nsequenceDiagram\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


class Step(NamedTuple):
    """A message from one participant to another, or a note over some. kind: `->>`, `-->>` or `Note`."""

    kind: str
    ends: tuple[str, ...]
    text: str


def draw_diagrams(page: str) -> str:
    """Return a page with its sequence diagrams drawn. Raises ValueError for a line that is not understood."""
    return BLOCK.sub(lambda found: f'<figure class="sequence">{drawn(found[1])}</figure>\n', page)


def drawn(source: str) -> str:
    """Return a diagram as SVG in one line, in the colours of the page."""
    participants, steps = read(source)
    middle = {name: MARGIN + COLUMN * index for index, name in enumerate(participants)}
    width, height = 2 * MARGIN + COLUMN * (len(participants) - 1), HEAD + ROW * len(steps) + 20
    parts = [_lifeline(middle[name], label, height) for name, label in participants.items()]
    for row, step in enumerate(steps):
        parts.append(_step(step, [middle[name] for name in step.ends], HEAD + ROW * row + 30))
    said = html.escape("; ".join(step.text for step in steps))
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{said}">'
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L10 5L0 10z"/></marker></defs>{"".join(parts)}</svg>'
    )


def read(source: str) -> tuple[dict[str, str], list[Step]]:
    """Read a diagram: its participants with their labels, and its steps, in order."""
    participants: dict[str, str] = {}
    steps: list[Step] = []
    for line in filter(None, map(str.strip, source.splitlines())):
        if found := re.fullmatch(r"participant (\w+) as (.+)", line):
            participants[found[1]] = found[2]
        elif found := re.fullmatch(r"(\w+)(-?->>)(\w+): (.+)", line):
            steps.append(Step(found[2], (found[1], found[3]), found[4]))
        elif found := re.fullmatch(r"Note over (\w+)(?:,(\w+))?: (.+)", line):
            steps.append(Step("Note", (found[1], found[2] or found[1]), found[3]))
        else:
            raise ValueError(f"not understood in a sequence diagram: {line}")
    unknown = {name for step in steps for name in step.ends} - set(participants)
    if unknown:
        raise ValueError(f"no such participant: {', '.join(sorted(unknown))}")
    return participants, steps


def _lifeline(x: int, label: str, height: int) -> str:
    return (
        f'<line class="life" x1="{x}" y1="36" x2="{x}" y2="{height}"/>'
        f'<rect x="{x - 66}" y="2" width="132" height="34" rx="4"/>{_text(x, 24, label)}'
    )


def _step(step: Step, at: list[int], y: int) -> str:
    left, right = min(at), max(at)
    if step.kind == "Note":
        left, right = left - 70, right + 70
        box = f'<rect class="note" x="{left}" y="{y - 20}" width="{right - left}" height="30" rx="4"/>'
        return box + _text((left + right) // 2, y, step.text)
    if left == right:
        loop = f'<path class="message" d="M{left} {y - 6}h26v14h-24" marker-end="url(#arrow)"/>'
        return loop + f'<text x="{left + 34}" y="{y + 5}">{html.escape(step.text)}</text>'
    answer = " answer" if step.kind == "-->>" else ""
    line = (
        f'<line class="message{answer}" x1="{at[0]}" y1="{y + 4}" x2="{at[1]}" y2="{y + 4}" marker-end="url(#arrow)"/>'
    )
    return line + _text((left + right) // 2, y - 4, step.text)


def _text(x: int, y: int, text: str) -> str:
    return f'<text class="middle" x="{x}" y="{y}">{html.escape(text)}</text>'
