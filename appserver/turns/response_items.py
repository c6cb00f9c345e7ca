"""Input items of the Responses API that a client writes itself: what may join a thread's history. Pure.

An item that the backend refuses would be sent with every later request of the thread, and refused each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from appserver.errors import InvalidParams
from appserver.llm.events import for_history
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NEEDED: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    # Kinds of items, and the members that each must have.
    "message": {"role": str, "content": (str, list)},
    "reasoning": {"summary": list},
    "function_call": {"name": str, "arguments": str, "call_id": str},
    "function_call_output": {"call_id": str, "output": (str, list)},
    "custom_tool_call": {"name": str, "input": str, "call_id": str},
    "custom_tool_call_output": {"call_id": str, "output": (str, list)},
    "local_shell_call": {"action": dict},
    "web_search_call": {},
    "image_generation_call": {"result": str},
    "tool_search_call": {"arguments": object},
    "tool_search_output": {"tools": list},
    "compaction": {"encrypted_content": str},
}

_CALL_OF: Final = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}


def taken(items: Sequence[object], history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the items that may join a history, without their ids. Raises InvalidParams for what is no item.

    An item of an unknown kind, and an output without its call, is left out with a warning, as the reference does.
    """
    found: list[dict[str, Any]] = []
    calls = {(one.get("type"), one.get("call_id")) for one in history}
    for number, one in enumerate(items):
        item = _checked(number, one)
        kind, call_id = item["type"], item.get("call_id")
        if kind not in _NEEDED:
            warn(f"items[{number}] is left out: an item of the type {kind!r:.60} is not known")
        elif kind in _CALL_OF and (_CALL_OF[kind], call_id) not in calls:
            warn(f"items[{number}] is left out: there is no call for this output")
        else:
            calls.add((kind, call_id))
            found.append(for_history(item))
    return found


def _checked(number: int, item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _no_item(number, "expected an object")
    if not isinstance(item.get("type"), str):
        raise _no_item(number, "missing field `type`")
    for name, kind in _NEEDED.get(item["type"], {}).items():
        if name not in item:
            raise _no_item(number, f"missing field `{name}`")
        if not isinstance(item[name], kind):
            raise _no_item(number, f"field `{name}` has the wrong type")
    return item


def _no_item(number: int, problem: str) -> InvalidParams:
    return InvalidParams(f"items[{number}] is not a valid response item: {problem}")
