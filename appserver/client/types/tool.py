"""Classes of protocol/tool.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from appserver.client.wire import Data, Unknown


@dataclass(frozen=True)
class FunctionTool(Data):
    """A function that the model may call. `type` may be left out.

    input_schema: JSON Schema of its arguments. namespace: puts the function under a common name, as NamespaceTool
    does. defer_loading changes nothing.
    """

    type: ClassVar[Literal["function"]] = "function"
    name: str
    description: str
    input_schema: dict[str, Any]
    namespace: str | None = None
    defer_loading: bool | None = None


@dataclass(frozen=True)
class NamespaceTool(Data):
    """Functions under a common name."""

    type: ClassVar[Literal["namespace"]] = "namespace"
    name: str
    description: str
    tools: list[FunctionTool]


DynamicTool = FunctionTool | NamespaceTool | Unknown


@dataclass(frozen=True)
class ToolText(Data):
    type: ClassVar[Literal["inputText"]] = "inputText"
    text: str


@dataclass(frozen=True)
class ToolImage(Data):
    """An image for the model, by URL (https: or data:)."""

    type: ClassVar[Literal["inputImage"]] = "inputImage"
    image_url: str


@dataclass(frozen=True)
class ToolAudio(Data):
    """Sound for the model, by URL (https: or data:)."""

    type: ClassVar[Literal["inputAudio"]] = "inputAudio"
    audio_url: str


ToolContent = ToolText | ToolImage | ToolAudio | Unknown


@dataclass(frozen=True)
class DynamicToolCallParams(Data):
    """Call a tool of the client's; arguments are what the model wrote, as JSON."""

    thread_id: str
    turn_id: str
    call_id: str
    namespace: str | None
    tool: str
    arguments: Any
