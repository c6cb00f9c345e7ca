"""Tables of values: dotted keys, merging tables, and reading by key and type. Pure.

A key is written as in TOML: `a.b`, and `a."b.c"` where a part holds a dot. A bare part may hold what TOML would want
quoted (`model_providers.my provider.base_url`), because the shell has taken its quotes off already. Knows no key, and
not which file a value comes from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

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
    """Set a value; a table is merged into one that is there."""
    for part in reversed(parts):
        value = {part: value}
    if isinstance(value, dict):
        lay_over(values, value)


def lay_over(values: dict[str, Any], others: Mapping[str, Any]) -> None:
    """Merge another table into this one: inner tables are merged, other values replaced. `others` is not kept."""
    for key, value in others.items():
        if isinstance(value, dict):
            inner = values.get(key)
            joined: dict[str, Any] = dict(inner) if isinstance(inner, dict) else {}
            lay_over(joined, value)
            values[key] = joined
        else:
            values[key] = value


def is_set(values: dict[str, Any], parts: tuple[str, ...]) -> bool:
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


class WrongValue(ConfigError):
    """A value cannot be used. `key` tells which one; the message does not say where it was set."""

    def __init__(self, key: tuple[str, ...], problem: str) -> None:
        super().__init__(f"{join_key(key)}: {problem}")
        self.key = key


class Table:
    """A table and its key. Its methods raise WrongValue for values that cannot be used."""

    def __init__(self, values: dict[str, Any], path: tuple[str, ...] = ()) -> None:
        self._values = values
        self._path = path

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return a value of the given type, or None if it is not set."""
        value = self._values.get(key)
        if value is None:
            return None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                value = float(value)
            except OverflowError:
                raise self.error(key, "the number is too large") from None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    def one_of(self, key: str, *allowed: str) -> str | None:
        """Return a string that must be one of those."""
        value = self.get(key, str)
        if value is not None and value not in allowed:
            expected = ", ".join(f'"{one}"' for one in allowed[:-1])
            raise self.error(key, f'expected {expected} or "{allowed[-1]}"')
        return value

    def seconds(self, key: str, default: float, *, zero: bool = False) -> float:
        """Return a duration. It must be above zero, or zero where that has a meaning."""
        value = self.get(key, float)
        if value is not None and not (value > 0 or (zero and value == 0)):
            raise self.error(key, "expected a number above 0")
        return default if value is None else value

    def table(self, key: str) -> Table:
        """Return a nested table, empty if it is not set."""
        return Table(self.get(key, dict) or {}, (*self._path, key))

    def strings(self, key: str) -> dict[str, str]:
        inner = self.table(key)
        return {name: inner.get(name, str) or "" for name in inner.raw()}

    def raw(self) -> dict[str, Any]:
        return self._values

    def error(self, key: str, problem: str) -> WrongValue:
        return WrongValue((*self._path, key), problem)

    def error_here(self, problem: str) -> WrongValue:
        """Return the error for the table itself."""
        return WrongValue(self._path, problem)


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
