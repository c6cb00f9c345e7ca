"""A TOML table that is read by key and type. Knows no key, and not which file a value comes from."""

from __future__ import annotations

from typing import Any, TypeVar

from appserver.errors import ConfigError
from appserver.settings.keys import join_key

T = TypeVar("T")


class WrongValue(ConfigError):
    """A value cannot be used. `key` tells which one; the message does not say where it was set."""

    def __init__(self, key: tuple[str, ...], problem: str) -> None:
        super().__init__(f"{join_key(key)}: {problem}")
        self.key = key


class Table:
    """A table and the way to it. What cannot be used is raised as WrongValue."""

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
        """Return a nested table of strings."""
        inner = self.table(key)
        return {name: inner.get(name, str) or "" for name in inner.raw()}

    def raw(self) -> dict[str, Any]:
        """Return the values as they are."""
        return self._values

    def error(self, key: str, problem: str) -> WrongValue:
        """Return the error for one key."""
        return WrongValue((*self._path, key), problem)

    def error_here(self, problem: str) -> WrongValue:
        """Return the error for the table itself."""
        return WrongValue(self._path, problem)
