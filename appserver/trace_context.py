"""W3C Trace Context: which distributed trace a request of the client's belongs to.

A request carries it in `trace`, a member of the envelope as in the reference, or in `params._meta`. What cannot be read
is passed over: it must not cost the client its request. Pure.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

MAX_STATE_CHARACTERS = 512
"""Of a tracestate that are passed on: what is to be passed on at least (W3C Trace Context, section 3.3.1.5)."""

MAX_STATE_MEMBERS = 32

_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"


class TraceContext(NamedTuple):
    """The two headers, valid as they are."""

    traceparent: str
    tracestate: str | None = None

    @property
    def trace_id(self) -> str:
        """The trace's id: 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request that belongs to the trace."""
        state = {} if self.tracestate is None else {TRACESTATE: self.tracestate}
        return {TRACEPARENT: self.traceparent, **state}


def trace_of(request: dict[str, Any]) -> TraceContext | None:
    """Return the trace context that a request carries, None if it carries none that can be read."""
    trace, params = request.get("trace"), request.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return None if trace is None and meta is None else trace_in(trace) or trace_in(meta)


def trace_in(carrier: object) -> TraceContext | None:
    """Return the trace context that an object has as members, such as HTTP headers in lower case."""
    if not isinstance(carrier, dict):
        return None
    traceparent = _parent(carrier.get(TRACEPARENT))
    return None if traceparent is None else TraceContext(traceparent, _state(carrier.get(TRACESTATE)))


def _parent(value: object) -> str | None:
    """Return a traceparent of version 00, which is also what a later version is passed on as (section 4)."""
    found = _pattern(r"(?!ff)([0-9a-f]{2})(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-)([0-9a-f]{2})(-.*)?", value)
    if found is None:
        return None
    version, ids, flags, rest = found.groups()
    if version != "00":
        return f"00{ids}{int(flags, 16) & 1:02x}"
    return None if rest else f"00{ids}{flags}"


def _state(value: object) -> str | None:
    """Return a tracestate, shortened by whole members from its end; None if there is none, or it is malformed."""
    if not isinstance(value, str) or len(value) > MAX_STATE_MEMBERS * MAX_STATE_CHARACTERS * 2:
        return None
    members = [member for member in (one.strip(" \t") for one in value.split(",")) if member]
    keys = {member.partition("=")[0] for member in members}
    is_valid = len(keys) == len(members) <= MAX_STATE_MEMBERS and all(
        _pattern(f"(?:{_KEY})={_VALUE}", member) for member in members
    )
    return ",".join(_fitting(members)) or None if is_valid else None


def _fitting(members: list[str]) -> Iterator[str]:
    size = 0
    for member in members:
        size += len(member) + 1
        if size > MAX_STATE_CHARACTERS + 1:
            return
        yield member


def _pattern(pattern: str, value: object) -> re.Match[str] | None:
    return _compiled(pattern).fullmatch(value) if isinstance(value, str) else None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)  # late: compiling takes time that start-up does not have
