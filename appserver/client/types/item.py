"""Classes of protocol/item.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from appserver.client.types.tool import ToolContent
from appserver.client.wire import Data, Unknown


@dataclass(frozen=True)
class TextInput(Data):
    """Text that the user wrote. text_elements: spans that the client renders in its own way; kept as they came."""

    type: ClassVar[Literal["text"]] = "text"
    text: str
    text_elements: list[dict[str, Any]] | None = None
    wire_names: ClassVar[Mapping[str, str]] = {"text_elements": "text_elements"}


@dataclass(frozen=True)
class ImageInput(Data):
    """An image by URL (https: or data:), or by the id of a file at the backend."""

    type: ClassVar[Literal["image"]] = "image"
    url: str | None = None
    file_id: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class LocalImageInput(Data):
    """An image file that the server reads."""

    type: ClassVar[Literal["localImage"]] = "localImage"
    path: str
    detail: str | None = None


@dataclass(frozen=True)
class AudioInput(Data):
    """Sound by URL (https: or data:). The model is told that there was some."""

    type: ClassVar[Literal["audio"]] = "audio"
    url: str


@dataclass(frozen=True)
class LocalAudioInput(Data):
    """A sound file. The model is told of it."""

    type: ClassVar[Literal["localAudio"]] = "localAudio"
    path: str


@dataclass(frozen=True)
class SkillInput(Data):
    """A skill that the user chose. The model reads its file, if it is one of the skills of the home."""

    type: ClassVar[Literal["skill"]] = "skill"
    name: str
    path: str


@dataclass(frozen=True)
class MentionInput(Data):
    """Something that the user pointed at: a file, an app. The model is told its name and path."""

    type: ClassVar[Literal["mention"]] = "mention"
    name: str
    path: str


UserInput = (
    TextInput | ImageInput | LocalImageInput | AudioInput | LocalAudioInput | SkillInput | MentionInput | Unknown
)


@dataclass(frozen=True)
class UserMessageItem(Data):
    type: ClassVar[Literal["userMessage"]] = "userMessage"
    id: str
    client_id: str | None
    content: list[UserInput]


@dataclass(frozen=True)
class AgentMessageItem(Data):
    type: ClassVar[Literal["agentMessage"]] = "agentMessage"
    id: str
    text: str
    phase: str | None


@dataclass(frozen=True)
class ReasoningItem(Data):
    """What the model tells of its thinking: summaries, and raw content where the backend gives it."""

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    id: str
    summary: list[str]
    content: list[str]


@dataclass(frozen=True)
class ContextCompactionItem(Data):
    """From here on the model is sent a summary in place of what came before."""

    type: ClassVar[Literal["contextCompaction"]] = "contextCompaction"
    id: str


@dataclass(frozen=True)
class DynamicToolCallItem(Data):
    """A call of one of the client's tools. content_items, success and duration_ms are null while it runs."""

    type: ClassVar[Literal["dynamicToolCall"]] = "dynamicToolCall"
    id: str
    namespace: str | None
    tool: str
    arguments: Any
    status: Literal["inProgress", "completed", "failed"]
    content_items: list[ToolContent] | None
    success: bool | None
    duration_ms: int | None


Item = UserMessageItem | AgentMessageItem | ReasoningItem | DynamicToolCallItem | ContextCompactionItem | Unknown
