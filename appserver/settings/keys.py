"""Dotted keys, and tables that are laid over each other. Pure.

A key is written as in TOML: `a.b`, and `a."b.c"` where a part holds a dot. A bare part may hold what TOML would want
quoted (`model_providers.my provider.base_url`), because the shell has taken its quotes off already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART = r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^.="'\s][^.="']*)\s*"""
_KEY = rf"{_PART}(?:\.{_PART})*"


def split_override(text: str) -> tuple[tuple[str, ...], str] | None:
    """Return key and value of `key=value`, or None if it is none. The value is as it was written."""
    found = re.match(_KEY, text)
    if found is None or text[found.end() : found.end() + 1] != "=":
        return None
    return _parts(found[0]), text[found.end() + 1 :]


def split_key(text: str) -> tuple[str, ...]:
    """Return the parts of a dotted key. What is no such key is one part."""
    return _parts(text) if re.fullmatch(_KEY, text) else (text,)


def join_key(parts: tuple[str, ...]) -> str:
    """Write a key with dots, the parts that hold one in quotes."""
    return ".".join(f'"{part}"' if "." in part else part for part in parts)


def put(values: dict[str, Any], parts: tuple[str, ...], value: object) -> None:
    """Lay one value over what is there; tables are joined."""
    for part in reversed(parts):
        value = {part: value}
    if isinstance(value, dict):
        lay_over(values, value)


def lay_over(values: dict[str, Any], others: Mapping[str, Any]) -> None:
    """Lay a table over another one; inner tables are joined, anything else is replaced. `others` is not kept."""
    for key, value in others.items():
        if isinstance(value, dict):
            inner = values.get(key)
            joined: dict[str, Any] = dict(inner) if isinstance(inner, dict) else {}
            lay_over(joined, value)
            values[key] = joined
        else:
            values[key] = value


def is_set(values: dict[str, Any], parts: tuple[str, ...]) -> bool:
    """Whether there is a value at this key."""
    inner: object = values
    for part in parts:
        if not isinstance(inner, dict) or part not in inner:
            return False
        inner = inner[part]
    return True


def drop(values: dict[str, Any], parts: tuple[str, ...]) -> None:
    """Remove the value at this key. It must be set."""
    for part in parts[:-1]:
        values = values[part]
    del values[parts[-1]]


def _parts(key: str) -> tuple[str, ...]:
    return tuple(_unquoted(part.strip()) for part in re.findall(_PART, key))


def _unquoted(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        import tomllib  # late: few keys need it

        try:
            value: str = tomllib.loads(f"part = {part}")["part"]
        except tomllib.TOMLDecodeError:
            return part[1:-1]
        return value
    return part
