"""A TOML table that is read by key and type. Knows no key."""

from __future__ import annotations

from typing import Any, TypeVar

from appserver.errors import ConfigError

T = TypeVar("T")


class Table:
    """A TOML table that is read by key and type, and knows its place for error texts."""

    def __init__(self, values: dict[str, Any], place: str, prefix: str = "") -> None:
        self._values = values
        self._place = place
        self._prefix = prefix

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

    def seconds(self, key: str, default: float, *, zero: bool = False) -> float:
        """Return a duration. It must be above zero, or zero where that has a meaning."""
        value = self.get(key, float)
        if value is not None and not (value > 0 or (zero and value == 0)):
            raise self.error(key, "expected a number above 0")
        return default if value is None else value

    def table(self, key: str) -> Table:
        """Return a nested table, empty if it is not set."""
        return Table(self.get(key, dict) or {}, self._place, f"{self._prefix}{key}.")

    def strings(self, key: str) -> dict[str, str]:
        """Return a nested table of strings."""
        inner = self.table(key)
        return {name: inner.get(name, str) or "" for name in inner.raw()}

    def raw(self) -> dict[str, Any]:
        """Return the values as they are."""
        return self._values

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the error for one key."""
        return ConfigError(f"{self._place}: {self._prefix}{key}: {problem}")
