"""What a person reads: lines, tables and JSON on stdout, errors on stderr.

Knows no command. Text that comes from a token or an issuer may hold control characters, which a terminal would obey:
they are shown as question marks.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from appserver.errors import AppServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FAILED = 1
"""Exit code: not signed in, a login or a check has failed."""

COLUMN_GAP = "  "


def say(*lines: str) -> None:
    """Write lines to stdout and flush: the reader may have to act on them."""
    _write_raw("".join(f"{_printable(line)}\n" for line in lines))


def draw(lines: Iterable[str]) -> None:
    """Write lines as they are, escape sequences included. They must be ours."""
    _write_raw("".join(f"{line}\n" for line in lines))


def say_json(value: object) -> None:
    """Write one JSON document to stdout, in ASCII."""
    _write_raw(json.dumps(value, indent=2) + "\n")


def complain(problem: str) -> None:
    say_on_stderr(f"appserver: {problem}")


def say_on_stderr(*lines: str) -> None:
    """Write lines for a person to stderr and flush: stdout may be read by a program."""
    sys.stderr.write("".join(f"{_printable(line)}\n" for line in lines))
    sys.stderr.flush()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of equal length in columns; the last column may be of any width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        COLUMN_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _write_raw(text: str) -> None:
    if sys.stdout is None:  # closed at start; the exit code says enough
        return
    # A character that the terminal's encoding lacks, such as one in a name, must not end the command.
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as exc:  # the reader has gone, or a disk is full
        # What is left in the buffer must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise AppServerError(f"stdout: {exc.strerror}") from None
