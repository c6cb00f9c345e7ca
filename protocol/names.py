"""Names on the wire and their spelling in Python. Pure."""

from __future__ import annotations

import re
from functools import cache


@cache
def snake(name: str) -> str:
    """`threadId` -> `thread_id`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@cache
def camel(name: str) -> str:
    """`thread_id` -> `threadId`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
