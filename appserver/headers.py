"""Checks of HTTP header fields (RFC 9110, section 5). Pure.

Made before a request is built: the error of an HTTP library quotes the header, including any credential.
"""

from __future__ import annotations

import re
from functools import cache


def is_name(text: str) -> bool:
    """Whether text can be the name of a header: a token (section 5.1)."""
    return _name().fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Whether text can be the value of a header: no control characters, and encodable as UTF-8 (section 5.5)."""
    return not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)


def is_token(text: str) -> bool:
    """Whether text can follow `Bearer`: visible ASCII (RFC 6750, section 2.1, is stricter; keys in use are not)."""
    return text.isascii() and text.isprintable() and " " not in text


@cache
def _name() -> re.Pattern[str]:
    return re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # late: compiling takes time that start-up does not have
