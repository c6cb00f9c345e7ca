"""Excerpts of sessions on the wire, as `->` and `<-` lines: what is shown whole has the shape of the method table."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from protocol.methods import CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS

LINE = re.compile(r"^(->|<-) (\{.*\})$", re.MULTILINE)


def wrong_in(excerpt: str) -> list[str]:
    """Return what does not fit, of the messages that are shown without `...` in place of members.

    Requests that are shown to be refused may be wrong.
    """
    wrong: list[str] = []
    asked: dict[Any, str] = {}
    lines = [(side, json.loads(text)) for side, text in LINE.findall(excerpt) if not re.search(r"\.\.\.[,}\]]", text)]
    refused = {message.get("id") for _, message in lines if "error" in message}
    for side, message in lines:
        method = message.get("method")
        table = CLIENT_REQUESTS if side == "->" else SERVER_REQUESTS
        if method in table:
            asked[side, message.get("id")] = method
            if message.get("id") not in refused:
                wrong += _misfit(table[method].params, message.get("params") or {}, method)
        elif method in SERVER_NOTIFICATIONS and side == "<-":
            wrong += _misfit(SERVER_NOTIFICATIONS[method], message["params"], method)
        elif "result" in message:
            other = "<-" if side == "->" else "->"
            request = asked.get((other, message["id"]))
            if request is not None:
                wrong += _misfit({**CLIENT_REQUESTS, **SERVER_REQUESTS}[request].result, message["result"], request)
    return wrong


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a type expression
    return TypeAdapter(kind)


def _misfit(kind: Any, value: object, method: str) -> list[str]:  # noqa: ANN401 - a type expression
    if kind is None:
        return []
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as exc:
        return [f"{method}: {error['loc']}: {error['msg']}" for error in exc.errors(include_input=False)]
    return []
