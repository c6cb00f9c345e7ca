"""The form of a line on stderr, as clients of the reference read it."""

from __future__ import annotations

import re

FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+Z (TRACE|DEBUG|INFO|WARN|ERROR) \S+: .*")


def strange_lines(told: str) -> list[str]:
    """Return the lines that have another form. Whatever any reader takes for the end of a line ends one here."""
    return [line for line in told.splitlines() if not FORM.fullmatch(line)]
