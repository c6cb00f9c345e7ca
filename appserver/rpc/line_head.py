"""The id at the beginning of a line that cannot be decoded as a whole, so that its error answer can carry it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from appserver import json_text
from protocol import envelope

if TYPE_CHECKING:
    from protocol.envelope import RequestId

# Only where nothing but simple members stands before it: an "id" inside the params may be the id of another request.
_ID_IN_HEAD = (
    rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*'
    rb'"id"\s*:\s*(-?\d{1,18}|"(?:[^"\\]|\\.){0,200}")\s*[,}]'
)


def id_in_head(head: bytes) -> RequestId | None:
    """Read the id from the beginning of a line; clients write it first. None where it cannot be found there."""
    found = re.match(_ID_IN_HEAD, head)
    if found is None:
        return None
    try:
        return envelope.readable_id({"id": json_text.decode(found[1])})
    except ValueError:
        return None
