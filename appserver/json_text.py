"""JSON texts as RFC 8259 has them.

Python's own json also writes and reads NaN, Infinity and numbers beyond a double's range, which no other parser takes.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 128
"""Levels of arrays and objects in a text that is read. The reference's parser has the same bound. It is far below what
Python's encoder can write again from deep in a stack."""


class TooDeep(ValueError):
    """A text is nested deeper than MAX_DEPTH."""

    def __init__(self) -> None:
        super().__init__(f"nested more than {MAX_DEPTH} levels deep")


def encode(value: object) -> str:
    """Return a value as a JSON text in ASCII, in one line.

    A number that is not finite becomes null, as in JavaScript. Raises TypeError, ValueError or RecursionError for what
    JSON cannot say.
    """
    try:
        return _encode(value)
    except ValueError:
        return _encode(_with_null(value))


def encode_utf8(value: object) -> bytes:
    """Return a value as a JSON text in UTF-8, in one line: a long text costs a quarter of what `encode` takes for it.

    A number that is not finite becomes null. Raises TypeError, ValueError or RecursionError for what JSON cannot say.
    """
    from pydantic_core import to_json  # late: only a request to the model needs it

    try:
        return to_json(value, inf_nan_mode="null")
    except ValueError:  # a lone surrogate, which UTF-8 does not have
        return encode(value).encode("ascii")


def decode(text: str | bytes) -> Any:  # noqa: ANN401 - JSON
    """Return what a JSON text says; bytes are UTF-8. Raises ValueError with a reason that does not repeat the text."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ValueError(f"not UTF-8 at byte {exc.start}") from None
    return _shallow(text, _decoded(text, _STRICT))


def decode_leniently(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a backend's text says. NaN, which some send, and numbers out of range are null. Raises ValueError."""
    return _shallow(text, _decoded(text, _LENIENT))


def decode_stored(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a text of our own says: earlier versions wrote NaN, too, and any depth. Raises ValueError."""
    return _decoded(text, _LENIENT)


# ASCII: a lone surrogate from a client's JSON survives the way back, and no line separator such as U+2028 stands in a
# line that some client splits by Unicode rules.
_encode = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def _decoded(text: str, decoder: json.JSONDecoder) -> Any:  # noqa: ANN401 - JSON
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at character {exc.pos}") from None
    except RecursionError:
        raise TooDeep from None
    return value


def _shallow(text: str, value: object) -> object:
    """Return the value that a text says unless it is nested too deeply. Counting brackets settles it for most."""
    level = [value] if text.count("[") + text.count("{") > MAX_DEPTH else []
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise TooDeep


def _with_null(value: object) -> object:
    """Return a copy in which null stands for each number that is not finite."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _with_null(member) for name, member in value.items()}
        case list() | tuple():
            return [_with_null(element) for element in value]
        case _:
            return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _finite_or_null(digits: str) -> float | None:
    number = float(digits)
    return None if math.isinf(number) else number


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_LENIENT = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite_or_null)
