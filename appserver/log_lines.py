"""Log records as lines: `2026-11-24T11:46:49.660Z WARN appserver::rpc: text`, the form of the reference (tracing).

A record is one line, whatever is in it: clients read stderr line by line, and one of them shows each line that has
another form as an error of its own. Imports logging, so it is imported when there is something to log.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from appserver.log_levels import level_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

MAX_CHARACTERS = 32 * 1024
"""Of a line, so that one record cannot displace all others: a long traceback fits."""

CHATTY = ("httpx", "httpcore", "asyncio")
"""These tell whole URLs and headers below WARN, whatever is asked for; what we need of a request we log ourselves."""

_NAMES = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"), (logging.DEBUG, "DEBUG"))


class LineFormatter(logging.Formatter):
    """Formats a record as one line, with credentials taken out and control characters escaped."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        target = "_".join(record.name.replace(".", "::").split())
        text = one_line(self._redact(super().format(record)))  # with the traceback
        return f"{self.formatTime(record)} {level_name(record.levelno)} {one_line(target)}: {text}"


def level_name(number: int) -> str:
    """Return the name that tracing has for a level."""
    return next((name for least, name in _NAMES if number >= least), "TRACE")


def one_line(text: str) -> str:
    """Escape what would end the line or be obeyed by a terminal, and cut what is longer than MAX_CHARACTERS."""
    text = shortened(text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shortened(text: str) -> str:
    """Cut what is longer than MAX_CHARACTERS."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}... ({len(text)} characters)"


def log_to(stream: TextIO, directives: str, formatter: logging.Formatter) -> None:
    """Send what the directives ask for to a stream, in place of what logging was set up for before."""
    levels = level_numbers(directives)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=levels.pop(""), handlers=[handler], force=True)
    for name, level in levels.items():
        if name.partition(".")[0] not in CHATTY:
            logging.getLogger(name).setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
