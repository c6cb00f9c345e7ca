"""Where a method of the table is found in the client, and what classes are called. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from protocol.names import snake

RESOURCES = {"account": "account", "config": "config", "model": "models", "server": "server", "thread": "threads"}
"""The first part of a method, and the resource of the client that has it; "server" is the client itself."""

RENAMED = {"getAuthStatus": ("account", "get_auth_status"), "thread/compact/start": ("threads", "compact")}
"""Methods that are not spelled as noun/verb, or whose last part says nothing."""


class Place(NamedTuple):
    """Where a method of the table is found: `server.RESOURCE.NAME`."""

    resource: str
    name: str


def pascal(method: str) -> str:
    """`thread/name/updated` -> `ThreadNameUpdated`."""
    return "".join(part[0].upper() + part[1:] for part in re.split(r"[/_]", method))


def place_of(method: str) -> Place | None:
    """Return where a method is found: the verb first, then what it is done to. None: the client has no such resource.

    `thread/name/set` -> threads.set_name.
    """
    if method in RENAMED:
        return Place(*RENAMED[method])
    head, *rest = method.split("/")
    if head not in RESOURCES or not rest:
        return None
    return Place(RESOURCES[head], "_".join(snake(part) for part in (rest[-1], *rest[:-1])))
