"""Tools for the model, written as Python functions.

    @tool
    def lookup(ticket: str) -> str:
        "Look up a ticket."

The schema comes from the types, the description from the docstring. Knows no connection.
"""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from appserver.client.calls import call_function
from appserver.client.types import ToolAudio, ToolImage, ToolText
from appserver.client.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from appserver.client.types import DynamicToolCallParams

P = ParamSpec("P")
R = TypeVar("R")

_CONTENT = (ToolText, ToolImage, ToolAudio)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToolCall:
    """Which call a tool is run for. A parameter of this type is filled in, and the model is not told of it."""

    thread_id: str
    turn_id: str
    call_id: str


class Tool(Generic[P, R]):
    """A function that the model may call. Calling it from Python calls the function."""

    def __init__(
        self, function: Callable[P, R], name: str | None, description: str | None, namespace: str | None
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.namespace = namespace
        self.description = description or inspect.getdoc(function) or self.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        schema: dict[str, Any] = self._arguments.model_json_schema()
        schema.pop("title", None)
        return schema

    def to_wire(self) -> dict[str, Any]:
        """Return the definition as `thread/start` has it."""
        found = {"type": "function", "name": self.name, "description": self.description}
        return found | {"inputSchema": self.input_schema} | ({"namespace": self.namespace} if self.namespace else {})

    async def run(self, params: DynamicToolCallParams) -> dict[str, Any]:
        """Run the tool for the model, in a thread if it may block. An error becomes a failed result, never raised."""
        try:
            found = await call_function(self.function, **self._read(params))
            return {"contentItems": content(found), "success": True}
        except Exception as exc:  # noqa: BLE001 - whatever it is, the model is told and goes on
            _logger.info("the tool %s failed: %s", self.name, type(exc).__name__)  # its words may be the user's
            return {"contentItems": content(str(exc) or type(exc).__name__), "success": False}

    def _read(self, params: DynamicToolCallParams) -> dict[str, Any]:
        read = self._arguments.model_validate(params.arguments)
        arguments = {
            name: getattr(read, field) for name, field in self._fields.items() if field in read.model_fields_set
        }
        call = ToolCall(params.thread_id, params.turn_id, params.call_id)
        return arguments | dict.fromkeys(self._calls, call)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = get_type_hints(self.function, include_extras=True)
        return {name: hints.get(name, Any) for name in inspect.signature(self.function).parameters}

    @cached_property
    def _calls(self) -> list[str]:
        """The parameters that take the call itself."""
        return [name for name, hint in self._hints.items() if hint is ToolCall]

    @cached_property
    def _fields(self) -> dict[str, str]:
        """The field of each other parameter. Not its name: a field must not be called like a member of BaseModel."""
        return {name: f"p{number}" for number, name in enumerate(self._hints) if name not in self._calls}

    @cached_property
    def _arguments(self) -> Any:  # noqa: ANN401 - a class that is made here
        from pydantic import ConfigDict, Field, create_model  # late: it costs more than the rest of the client

        fields: dict[str, Any] = {}
        for name, one in inspect.signature(self.function).parameters.items():
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY):
                raise TypeError(f"{self.name}: a tool's parameters have names; {one} does not fit")
            if name in self._fields:
                default = ... if one.default is one.empty else one.default
                fields[self._fields[name]] = (self._hints[name], Field(default, alias=name))
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, namespace: str | None = None
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    namespace: str | None = None,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a function: `@tool`, or `@tool(name=..., description=..., namespace=...)`.

    It may be a coroutine function; one that is not runs in a thread. It returns text, or what becomes JSON, or content
    such as `ToolImage`, or a list of that. What it raises becomes a failed result that the model reads.
    """
    if function is None:
        return lambda given: Tool(given, name, description, namespace)
    return Tool(function, name, description, namespace)


class Toolbox:
    """The tools by the threads that have them, and those that all threads have."""

    def __init__(self, everywhere: Iterable[Tool[..., Any]]) -> None:
        self.everywhere = tuple(everywhere)
        self._of_threads: dict[str, dict[tuple[str | None, str], Tool[..., Any]]] = {}

    def add(self, thread_id: str, tools: Iterable[Tool[..., Any]]) -> None:
        """Let a thread call these, too."""
        self._of_threads.setdefault(thread_id, {}).update({(one.namespace, one.name): one for one in tools})

    def forget(self, thread_id: str) -> None:
        """Let go of what a thread has."""
        self._of_threads.pop(thread_id, None)

    def find(self, thread_id: str, namespace: str | None, name: str) -> Tool[..., Any] | None:
        """Return a tool; None: there is none."""
        own = self._of_threads.get(thread_id, {}).get((namespace, name))
        return own or next((one for one in self.everywhere if (one.namespace, one.name) == (namespace, name)), None)


def content(found: object) -> list[dict[str, Any]]:
    """Return what a tool has returned as the model reads it. Raises TypeError, ValueError for what is no JSON."""
    several = (
        found if isinstance(found, list) and found and all(isinstance(one, _CONTENT) for one in found) else [found]
    )
    return [encode(one if isinstance(one, _CONTENT) else ToolText(_text(one))) for one in several]


def _text(found: object) -> str:
    if isinstance(found, str):
        return found
    from pydantic_core import to_jsonable_python  # late: it costs more than the rest of the client

    return json.dumps(to_jsonable_python(found), ensure_ascii=False)


def definitions(tools: Iterable[Tool[..., Any] | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return tools as `thread/start` has them."""
    return [encode(one) for one in tools]
