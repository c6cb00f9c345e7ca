"""Messages of a Chat Completions request -> instructions and input items of the Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appserver.gateway.chat.types import (
        AssistantMessage,
        InputContent,
        InputPart,
        Json,
        Message,
        ToolCall,
        ToolMessage,
    )


def split_instructions(messages: Sequence[Message]) -> tuple[str | None, Sequence[Message]]:
    """Return the text of the system and developer messages that come first, and all other messages.

    The ChatGPT backend wants instructions apart from the input, and takes no system message in it.
    """
    texts: list[str] = []
    for number, message in enumerate(messages):
        if message["role"] not in ("system", "developer"):
            return "\n\n".join(texts) or None, messages[number:]
        texts.append(_text(message["content"]))
    return "\n\n".join(texts[:-1]) or None, messages[-1:]  # an input must not be empty


def input_items(messages: Sequence[Message]) -> list[Json]:
    """Return the input items that say what these messages say, in their order."""
    custom = {call["id"] for message in messages for call in _calls(message) if call["type"] == "custom"}
    items: list[Json] = []
    for message in messages:
        match message["role"]:
            case "assistant":
                items.extend(_assistant(message))
            case "tool":
                items.append(_tool_result(message, custom))
            case "user":
                items.append(_message("user", _input_parts(message["content"])))
            case _:
                items.append(_message("developer", _input_parts(message["content"])))
    return items


def _assistant(message: AssistantMessage) -> Iterator[Json]:
    content = message.get("content")
    parts: list[Json] = []
    if isinstance(content, str):
        parts.append(_output_text(content))
    elif content is not None:
        parts.extend(
            _output_text(part["text"]) if part["type"] == "text" else {"type": "refusal", "refusal": part["refusal"]}
            for part in content
        )
    if refusal := message.get("refusal"):
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:
        yield _message("assistant", parts)
    for call in _calls(message):
        if call["type"] == "function":
            function = call["function"]
            yield {
                "type": "function_call",
                "call_id": call["id"],
                "name": function["name"],
                "arguments": function["arguments"],
            }
        else:
            custom = call["custom"]
            yield {
                "type": "custom_tool_call",
                "call_id": call["id"],
                "name": custom["name"],
                "input": custom["input"],
            }


def _tool_result(message: ToolMessage, custom: set[str]) -> Json:
    call_id, content = message["tool_call_id"], message["content"]
    kind = "custom_tool_call_output" if call_id in custom else "function_call_output"
    output = content if isinstance(content, str) else _input_parts(content)
    return {"type": kind, "call_id": call_id, "output": output}


def _calls(message: Message) -> Sequence[ToolCall]:
    return message.get("tool_calls") or () if message["role"] == "assistant" else ()


def _input_parts(content: InputContent) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_input_part(part) for part in content]


def _input_part(part: InputPart) -> Json:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
        case "file":
            named = part["file"]
            return {"type": "input_file", **{name: value for name, value in named.items() if value is not None}}
        case _:
            return {"type": "input_audio", "input_audio": part["input_audio"]}


def _text(content: InputContent) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else "" for part in content)


def _message(role: str, parts: list[Json]) -> Json:
    return {"type": "message", "role": role, "content": parts}


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text}
