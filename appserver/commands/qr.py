"""A QR code on the terminal, two modules to a character. Needs the extra `cli`; without it there is none.

Knows neither what the code says nor why it is shown.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from appserver.commands.output import draw, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUIET_ZONE = 4
"""Light modules around the code: what ISO/IEC 18004 asks for, and some readers need."""

# Upper and lower module, light or dark. Blocks are the light ones: a terminal is mostly dark.
_BLOCKS = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
_WHITE_ON_BLACK, _AS_BEFORE = "\x1b[97;40m", "\x1b[0m"


def show_qr(text: str, environ: Mapping[str, str]) -> None:
    """Draw text as a QR code, if stdout is a terminal that has room for it."""
    if not (sys.stdout.isatty() and _can_draw()):
        return
    modules = _modules(text)
    if modules is None:
        say("(With the extra appserverd[cli], a QR code would stand here.)", "")
    elif len(modules) <= os.get_terminal_size(sys.stdout.fileno()).columns:
        coloured = sys.platform != "win32" and environ.get("TERM") != "dumb"
        draw([*_lines(modules, coloured=coloured), ""])


def _modules(text: str) -> list[list[bool]] | None:
    """Return the rows of the code, quiet zone included, True for light; None without the library."""
    try:
        import segno
    except ImportError:
        return None
    code = segno.make(text, micro=False, error="l")
    return [[not module for module in row] for row in code.matrix_iter(border=QUIET_ZONE)]


def _lines(modules: Sequence[Sequence[bool]], *, coloured: bool) -> list[str]:
    before, after = (_WHITE_ON_BLACK, _AS_BEFORE) if coloured else ("", "")
    padded = [*modules, [True] * len(modules[0])]  # a code has an odd number of rows
    pairs = zip(padded[::2], padded[1::2], strict=False)
    return [before + "".join(_BLOCKS[pair] for pair in zip(*rows, strict=True)) + after for rows in pairs]


def _can_draw() -> bool:
    try:
        "".join(_BLOCKS.values()).encode(sys.stdout.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
