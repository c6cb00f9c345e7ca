"""How many tokens a request may take, as far as that is known before it is answered. Pure."""

from __future__ import annotations

from typing import Any

BYTES_PER_TOKEN = 4
"""Of English text, by OpenAI's rule of thumb. Tokens of other languages have fewer characters, of more bytes each."""

ASSUMED_OUTPUT = 1000
"""Tokens of an answer that the request does not limit."""

ASSUMED_SHARE = 10
"""Such an answer is taken to need no more than the limit divided by this: some requests must be possible at once."""


def estimated(body: dict[str, Any], limit: int) -> int:
    """Return the tokens that a request of the Responses API may take, and no more than `limit`, the key's.

    Images and files are not counted before the backend has told what they took, nor is what it has stored itself.
    """
    asked = body.get("max_output_tokens")
    output = asked if isinstance(asked, int) and asked > 0 else min(ASSUMED_OUTPUT, limit // ASSUMED_SHARE)
    given = sum(_text_bytes(body.get(name)) for name in ("instructions", "input", "tools"))
    return min(-(-given // BYTES_PER_TOKEN) + output, limit)


def _text_bytes(value: object) -> int:
    """Return the size of the text in a JSON value, without names of members, numbers, and data in URLs."""
    match value:
        case str():
            return 0 if value.startswith("data:") else len(value.encode("utf-8", "surrogatepass"))
        case list():
            return sum(map(_text_bytes, value))
        case dict():
            return sum(map(_text_bytes, value.values()))
        case _:
            return 0
