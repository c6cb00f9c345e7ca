"""The items of a turn and the notifications about one item."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import TaggedBy
from protocol.tool import ToolContent


class TextInput(TypedDict):
    """Text that the user wrote. text_elements: spans that the client renders in its own way; kept as they came."""

    type: Literal["text"]
    text: str
    text_elements: NotRequired[list[dict[str, Any]]]


class ImageInput(TypedDict):
    """An image by URL (https: or data:), or by the id of a file at the backend."""

    type: Literal["image"]
    url: NotRequired[str]
    fileId: NotRequired[str]
    detail: NotRequired[str | None]


class LocalImageInput(TypedDict):
    """An image file that the server reads."""

    type: Literal["localImage"]
    path: str
    detail: NotRequired[str | None]


class AudioInput(TypedDict):
    """Sound by URL (https: or data:). The model is told that there was some."""

    type: Literal["audio"]
    url: str


class LocalAudioInput(TypedDict):
    """A sound file. The model is told of it."""

    type: Literal["localAudio"]
    path: str


class SkillInput(TypedDict):
    """A skill that the user chose. The model reads its file, if it is one of the skills of the home."""

    type: Literal["skill"]
    name: str
    path: str


class MentionInput(TypedDict):
    """Something that the user pointed at: a file, an app. The model is told its name and path."""

    type: Literal["mention"]
    name: str
    path: str


UserInput = Annotated[
    TextInput | ImageInput | LocalImageInput | AudioInput | LocalAudioInput | SkillInput | MentionInput,
    TaggedBy("type"),
]


class UserMessageItem(TypedDict):
    type: Literal["userMessage"]
    id: str
    clientId: str | None
    content: list[UserInput]


class AgentMessageItem(TypedDict):
    type: Literal["agentMessage"]
    id: str
    text: str
    phase: str | None


class ReasoningItem(TypedDict):
    """What the model tells of its thinking: summaries, and raw content where the backend gives it."""

    type: Literal["reasoning"]
    id: str
    summary: list[str]
    content: list[str]


class ContextCompactionItem(TypedDict):
    """From here on the model is sent a summary in place of what came before."""

    type: Literal["contextCompaction"]
    id: str


class DynamicToolCallItem(TypedDict):
    """A call of one of the client's tools. contentItems, success and durationMs are null while it runs."""

    type: Literal["dynamicToolCall"]
    id: str
    namespace: str | None
    tool: str
    arguments: Any
    status: Literal["inProgress", "completed", "failed"]
    contentItems: list[ToolContent] | None
    success: bool | None
    durationMs: int | None


Item = Annotated[
    UserMessageItem | AgentMessageItem | ReasoningItem | DynamicToolCallItem | ContextCompactionItem, TaggedBy("type")
]


class ItemStartedNotification(TypedDict):
    """An item has begun; startedAtMs is Unix time in milliseconds."""

    item: Item
    threadId: str
    turnId: str
    startedAtMs: int


class ItemCompletedNotification(TypedDict):
    """An item is whole; completedAtMs is Unix time in milliseconds."""

    item: Item
    threadId: str
    turnId: str
    completedAtMs: int


class AgentMessageDeltaNotification(TypedDict):
    threadId: str
    turnId: str
    itemId: str
    delta: str


class ReasoningSummaryPartAddedNotification(TypedDict):
    threadId: str
    turnId: str
    itemId: str
    summaryIndex: int


class ReasoningSummaryTextDeltaNotification(TypedDict):
    threadId: str
    turnId: str
    itemId: str
    delta: str
    summaryIndex: int


class ReasoningTextDeltaNotification(TypedDict):
    """More raw text of a reasoning item."""

    threadId: str
    turnId: str
    itemId: str
    delta: str
    contentIndex: int
