"""What of a Responses request a backend takes: the rest is left out, and named to the caller."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from appserver.gateway.invalid import InvalidRequest
from appserver.threads.settings import DEFAULT_INSTRUCTIONS

if TYPE_CHECKING:
    from appserver.errors import BackendError

CHATGPT = frozenset(
    # Of the ChatGPT backend, which answers 400 to all others.
    (
        "include",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "service_tier",
        "store",
        "stream",
        "text",
        "tool_choice",
        "tools",
    )
)

CONTEXT = ("conversation", "previous_response_id", "prompt")
"""Parameters that stand for input which is stored elsewhere. Without them the model would answer another question."""

LOGPROBS = "message.output_text.logprobs"
"""What the ChatGPT backend does not include."""

OPTIONAL = frozenset(
    # What a model may not have, and can answer without.
    (
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "reasoning.effort",
        "reasoning.summary",
        "safety_identifier",
        "service_tier",
        "temperature",
        "text.verbosity",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    )
)

UNSUPPORTED = re.compile(r"Unsupported parameter:\s*'?([\w.]+)'?")
"""How the ChatGPT backend names a parameter that it does not take, and the API in its message."""

FIXED = ("temperature", "top_p")
"""Parameters of which some models take the default value only."""


def for_chatgpt(body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a body as the ChatGPT backend takes it, and the parameters that were left out. Raises InvalidRequest."""
    for name in CONTEXT:
        if body.get(name) is not None:
            raise InvalidRequest(
                f"{name} cannot be used here: the ChatGPT backend stores no responses, so send the whole input",
                name,
                "unsupported_parameter",
            )
    kept = {name: value for name, value in body.items() if name in CHATGPT}
    dropped = [name for name, value in body.items() if name not in CHATGPT and value is not None]
    if body.get("store"):
        dropped.append("store")
    if LOGPROBS in (body.get("include") or ()):
        kept["include"] = [one for one in body["include"] if one != LOGPROBS]
        dropped.append("include")
    kept["store"] = False
    kept["instructions"] = body.get("instructions") or DEFAULT_INSTRUCTIONS
    kept["input"] = _input(body.get("input"))
    return kept, dropped


def refused(failure: BackendError, body: dict[str, Any]) -> str | None:
    """Return the name of the optional parameter that a backend has refused a body for, or None."""
    if failure.status != 400:
        return None
    name = failure.param if failure.code == "unsupported_parameter" else None
    if failure.code == "unsupported_value" and failure.param in FIXED:
        name = failure.param
    if name is None and (found := UNSUPPORTED.search(failure.message)):
        name = found[1]
    return name if name in OPTIONAL and _holds(body, name) else None


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a body without a parameter, or without a member of one: `reasoning.effort`."""
    outer, _, inner = name.partition(".")
    rest = {one: value for one, value in body.items() if one != outer}
    if not inner:
        return rest
    members = {one: value for one, value in body[outer].items() if one != inner}
    return {**rest, outer: members} if members else rest


def _holds(body: dict[str, Any], name: str) -> bool:
    outer, _, inner = name.partition(".")
    value = body.get(outer)
    return (isinstance(value, dict) and inner in value) if inner else outer in body


def _input(given: object) -> object:
    """Return an input as a list of items, in which no message is of the system's."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    if not isinstance(given, list):
        return given
    return [
        {**item, "role": "developer"} if isinstance(item, dict) and item.get("role") == "system" else item
        for item in given
    ]
