"""Members of a JSON object from a backend, which may be anything: what has the wrong type counts as missing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Members = dict[str, Any]

MAX_NUMBER = 2**53
"""Beyond it a number is none that a client could read (RFC 8259, section 6)."""


def number(value: object) -> float | None:
    """Return a number up to MAX_NUMBER, also where it is written as a string, as in headers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= MAX_NUMBER else None  # not for NaN either


def integer(members: Mapping[str, Any], name: str) -> int | None:
    """Return a member that is a number, without its fraction."""
    found = number(members.get(name))
    return None if found is None else int(found)


def text(members: Mapping[str, Any], name: str) -> str | None:
    """Return a member that is a string."""
    found = members.get(name)
    return found if isinstance(found, str) else None


def flag(members: Mapping[str, Any], name: str) -> bool | None:
    """Return a member that is a boolean."""
    found = members.get(name)
    return found if isinstance(found, bool) else None


def member(members: Mapping[str, Any], name: str) -> Members:
    """Return a member that is an object, or an empty one."""
    found = members.get(name)
    return found if isinstance(found, dict) else {}


def objects(members: Mapping[str, Any], name: str) -> list[Members] | None:
    """Return the objects in a member that is a list."""
    found = members.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None
