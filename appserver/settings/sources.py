"""Where values come from: config.toml, and `key=value` overrides on top of it."""

from __future__ import annotations

import tomllib
from typing import Any

from appserver.errors import ConfigError


def read_file(path: str) -> dict[str, Any]:
    """Read a TOML file; one that is missing is empty. Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            return tomllib.loads(file.read())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}: {exc}") from None  # the text has line and column
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 at byte {exc.start}") from None
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
    except (ValueError, RecursionError):  # which tomllib lets through
        raise ConfigError(f"{path}: a number is too long, or a value nested too deeply") from None


def apply_override(table: dict[str, Any], override: str) -> None:
    """Set a dotted key. The value is TOML; what is not is taken as a string, so that quotes are optional."""
    key, found, raw = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not found or not all(parts):
        raise ConfigError(f"-c {key!r:.60}: expected key=value")  # without the value: it may be a credential
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):  # also what tomllib lets through: a number that is too long
        value = raw.strip()
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"-c {key}: {part} is no table")
        table = inner
    table[parts[-1]] = value
