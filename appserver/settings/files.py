"""Configuration files: read within a bound, parsed, and searched for the position of a value."""

from __future__ import annotations

import re
from typing import Any

from appserver.errors import ConfigError
from appserver.regular_file import read_regular
from appserver.settings.tables import split_key, split_override

MAX_FILE_BYTES = 1024 * 1024
"""Many times what a configuration needs. Parsing this much takes about a second, during which the client waits."""

_HEADER = r"(\s*\[)([^\[\]#]+)\]"
_POSITION = r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"


def read_text(path: str) -> str:
    """Return the text of a file. Raises FileNotFoundError, and ConfigError for whatever else is wrong with it."""
    try:
        data = read_regular(path, MAX_FILE_BYTES).data
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}", path=path) from None
    try:
        return data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 at byte {exc.start}", path=path) from None


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """Parse the text of a file. Raises ConfigError with the position."""
    import tomllib  # late: a home without a config.toml needs none

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        told = re.fullmatch(_POSITION, str(exc), re.DOTALL)
        problem = told[1] if told else str(exc)
        end = (text.count("\n") + 1, len(text) - text.rfind("\n"))
        line, column = (int(told[2]), int(told[3])) if told and told[2] else end
        raise ConfigError(f"{path}:{line}:{column}: {problem}", path=path, position=(line, column)) from None
    except (ValueError, RecursionError):  # which tomllib lets through
        raise ConfigError(f"{path}: a number is too long, or a value nested too deeply", path=path) from None


def position_of(key: tuple[str, ...], text: str) -> tuple[int, int] | None:
    """Return line and column, from 1, of the value of a key, or of the inline table or table header that holds it.

    tomllib does not tell. Looks at keys and headers only, so text in a multi-line string may be taken for one.
    """
    table: tuple[str, ...] = ()
    longest, position = 0, None
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(_HEADER, line):
            named, column = split_key(header[2]), header.end(1)
            table = named
        elif entry := split_override(line):
            named, column = table + entry[0], len(line) - len(entry[1].lstrip())
        else:
            continue
        if len(named) > longest and named == key[: len(named)]:
            longest, position = len(named), (number, column + 1)
    return position
