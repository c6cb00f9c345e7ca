"""The client's tools: their normal form, their description for the model, and the names that it may call. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from appserver.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.tool import DynamicTool, FunctionTool, NamespaceTool

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
"""The Responses API refuses any other name, and with it every turn of the thread."""


def checked(tools: list[DynamicTool]) -> list[DynamicTool]:
    """Return the tools with each function that names a namespace within it. Raises InvalidParams for bad names."""
    found: list[DynamicTool] = []
    spaces: dict[str, NamespaceTool] = {}
    for tool in tools:
        if tool["type"] == "function" and not tool.get("namespace"):
            found.append(tool)
            continue
        space = _space_of(tool)
        if space["name"] not in spaces:
            spaces[space["name"]] = {**space, "tools": []}
            found.append(spaces[space["name"]])
        spaces[space["name"]]["tools"] += space["tools"]
    _check_names(found)
    return found


def definitions(tools: Sequence[DynamicTool]) -> list[dict[str, Any]]:
    """Describe the tools to the model, as the Responses API takes them."""
    return [
        _function(tool)
        if tool["type"] == "function"
        else {
            "type": "namespace",
            "name": tool["name"],
            "description": tool["description"],
            "tools": [_function(inner) for inner in tool["tools"]],
        }
        for tool in tools
    ]


def names_of(tools: Sequence[DynamicTool]) -> set[tuple[str | None, str]]:
    """Return what the model may call: namespace, or None, and name."""
    return set(_names(tools))


def _space_of(tool: DynamicTool) -> NamespaceTool:
    if tool["type"] == "namespace":
        return tool
    name = tool.get("namespace") or ""
    described = f"Tools in the {name} namespace."  # the reference's words
    return {"type": "namespace", "name": name, "description": described, "tools": [tool]}


def _check_names(tools: list[DynamicTool]) -> None:
    seen: set[tuple[str | None, str]] = set()
    for space, name in _names(tools):
        for part in (name,) if space is None else (space, name):
            if not _NAME.fullmatch(part):
                raise InvalidParams(f"dynamic tool name must match ^{_NAME.pattern}$ to match Responses API: {part}")
        if (space, name) in seen:
            raise InvalidParams(f"duplicate dynamic tool name: {name}")
        seen.add((space, name))


def _names(tools: Sequence[DynamicTool]) -> Iterator[tuple[str | None, str]]:
    for tool in tools:
        if tool["type"] == "function":
            yield None, tool["name"]
        else:
            yield from ((tool["name"], inner["name"]) for inner in tool["tools"])


def _function(tool: FunctionTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool["name"],
        "description": tool["description"],
        "strict": False,
        "parameters": tool["inputSchema"],
    }
