"""What a Chat Completions request may hold, as far as it is translated. What else it holds is dropped, and named."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag
from typing_extensions import TypedDict

Json: TypeAlias = dict[str, Any]


class TextPart(TypedDict):
    type: Literal["text"]
    text: str


class ImageUrl(TypedDict, total=False):
    url: Required[str]
    detail: str | None


class ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(TypedDict):
    data: str
    format: str


class AudioPart(TypedDict):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileContent(TypedDict, total=False):
    file_id: str | None
    file_data: str | None
    filename: str | None


class FilePart(TypedDict):
    type: Literal["file"]
    file: FileContent


class RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: str


InputPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, Discriminator("type")]
OutputPart: TypeAlias = Annotated[TextPart | RefusalPart, Discriminator("type")]


def _shape(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


def _shape_or_none(value: object) -> str:
    return "none" if value is None else _shape(value)


# Told apart by hand: an error then names the part that is wrong, not every shape that it does not have.
InputContent: TypeAlias = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[InputPart], Tag("parts")], Discriminator(_shape)
]
OutputContent: TypeAlias = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[OutputPart], Tag("parts")] | Annotated[None, Tag("none")],
    Discriminator(_shape_or_none),
]


class InstructionMessage(TypedDict, total=False):
    role: Required[Literal["system", "developer"]]
    content: Required[InputContent]
    name: str | None


class UserMessage(TypedDict, total=False):
    role: Required[Literal["user"]]
    content: Required[InputContent]
    name: str | None


class CalledFunction(TypedDict):
    name: str
    arguments: str


class FunctionToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: CalledFunction


class CalledCustom(TypedDict):
    name: str
    input: str


class CustomToolCall(TypedDict):
    id: str
    type: Literal["custom"]
    custom: CalledCustom


ToolCall: TypeAlias = Annotated[FunctionToolCall | CustomToolCall, Discriminator("type")]


class AssistantMessage(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: OutputContent
    refusal: str | None
    tool_calls: list[ToolCall] | None
    name: str | None


class ToolMessage(TypedDict):
    role: Literal["tool"]
    tool_call_id: str
    content: InputContent


Message: TypeAlias = Annotated[InstructionMessage | UserMessage | AssistantMessage | ToolMessage, Discriminator("role")]


class Function(TypedDict, total=False):
    name: Required[str]
    description: str | None
    parameters: Json | None
    strict: bool | None


class FunctionTool(TypedDict):
    type: Literal["function"]
    function: Function


class Grammar(TypedDict):
    definition: str
    syntax: str


class TextFormat(TypedDict):
    type: Literal["text"]


class GrammarFormat(TypedDict):
    type: Literal["grammar"]
    grammar: Grammar


class Custom(TypedDict, total=False):
    name: Required[str]
    description: str | None
    format: Annotated[TextFormat | GrammarFormat, Discriminator("type")] | None


class CustomTool(TypedDict):
    type: Literal["custom"]
    custom: Custom


Tool: TypeAlias = Annotated[FunctionTool | CustomTool, Discriminator("type")]


class Named(TypedDict):
    name: str


class FunctionChoice(TypedDict):
    type: Literal["function"]
    function: Named


class CustomChoice(TypedDict):
    type: Literal["custom"]
    custom: Named


NamedChoice: TypeAlias = Annotated[FunctionChoice | CustomChoice, Discriminator("type")]


class AllowedTools(TypedDict):
    mode: Literal["auto", "required"]
    tools: list[NamedChoice]


class AllowedChoice(TypedDict):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("text")]
    | Annotated[Annotated[FunctionChoice | CustomChoice | AllowedChoice, Discriminator("type")], Tag("parts")],
    Discriminator(_shape),
]


class JsonSchema(TypedDict, total=False):
    name: Required[str]
    description: str | None
    schema: Json | None
    strict: bool | None


class TextResponse(TypedDict):
    type: Literal["text"]


class ObjectResponse(TypedDict):
    type: Literal["json_object"]


class SchemaResponse(TypedDict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat: TypeAlias = Annotated[TextResponse | ObjectResponse | SchemaResponse, Discriminator("type")]


class StreamOptions(TypedDict, total=False):
    include_usage: bool | None


class Approximate(TypedDict, total=False):
    city: str | None
    country: str | None
    region: str | None
    timezone: str | None


class UserLocation(TypedDict):
    type: Literal["approximate"]
    approximate: Approximate


class WebSearchOptions(TypedDict, total=False):
    search_context_size: str | None
    user_location: UserLocation | None


class ChatRequest(TypedDict, total=False):
    model: Required[str]
    messages: Required[list[Message]]
    frequency_penalty: float | None
    logit_bias: Json | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Json | None
    modalities: list[str] | None
    n: int | None
    parallel_tool_calls: bool | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning_effort: str | None
    response_format: ResponseFormat | None
    safety_identifier: str | None
    service_tier: str | None
    stop: str | list[str] | None
    store: bool | None
    stream: bool | None
    stream_options: StreamOptions | None
    temperature: float | None
    tool_choice: ToolChoice | None
    tools: list[Tool] | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None
    web_search_options: WebSearchOptions | None
