"""Tools that the client brings into a thread: what they are, the request that calls one, and what it gives back."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import TaggedBy, WithDefault


class FunctionTool(TypedDict):
    """A function that the model may call. `type` may be left out.

    inputSchema: JSON Schema of its arguments. namespace: puts the function under a common name, as NamespaceTool does.
    deferLoading changes nothing.
    """

    type: Literal["function"]
    name: str
    description: str
    inputSchema: dict[str, Any]
    namespace: NotRequired[str | None]
    deferLoading: NotRequired[bool]


class NamespaceTool(TypedDict):
    """Functions under a common name."""

    type: Literal["namespace"]
    name: str
    description: str
    tools: list[Annotated[FunctionTool, WithDefault("type", "function")]]


DynamicTool = Annotated[FunctionTool | NamespaceTool, TaggedBy("type"), WithDefault("type", "function")]


class ToolText(TypedDict):
    type: Literal["inputText"]
    text: str


class ToolImage(TypedDict):
    """An image for the model, by URL (https: or data:)."""

    type: Literal["inputImage"]
    imageUrl: str


class ToolAudio(TypedDict):
    """Sound for the model, by URL (https: or data:)."""

    type: Literal["inputAudio"]
    audioUrl: str


ToolContent = Annotated[ToolText | ToolImage | ToolAudio, TaggedBy("type")]


class DynamicToolCallParams(TypedDict):
    """Call a tool of the client's; arguments are what the model wrote, as JSON."""

    threadId: str
    turnId: str
    callId: str
    namespace: str | None
    tool: str
    arguments: Any


class DynamicToolCallResult(TypedDict):
    """What the tool gave. The model reads contentItems, also where success is false."""

    contentItems: list[ToolContent]
    success: bool
