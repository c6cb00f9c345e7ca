"""Input items of the Responses API for the items that clients see: what the model is sent for each. Pure.

An item says it all unless it names a file or ended before it had an outcome. So the store keeps such an item once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.item import ImageInput, Item, UserInput
    from protocol.tool import ToolContent

SILENT_FAILURE = "The tool failed and gave no reason."

NO_AUDIO = "audio content omitted because you do not support audio input"
"""The reference's words to a model that takes none; all that are known are such."""


def model_item(item: Item | None) -> dict[str, Any] | None:
    """Return the input item that follows from an item alone, or None."""
    if item is None:
        return None
    match item["type"]:
        case "agentMessage":
            return agent_message(item["text"])
        case "userMessage":
            return user_message(item["content"])
        case "dynamicToolCall" if item["contentItems"] is not None:
            return tool_output(item["id"], output_of(item["contentItems"], success=bool(item["success"])))
        case _:
            return None


def agent_message(text: str) -> dict[str, Any]:
    """Return what the model is sent for a message of its own."""
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def user_message(content: list[UserInput]) -> dict[str, Any] | None:
    """Return what the model is sent for a message of the user, or None if it names files."""
    parts = [input_part(one) for one in content]
    return {"type": "message", "role": "user", "content": parts} if all(parts) else None


def input_part(one: UserInput) -> dict[str, Any] | None:
    """Return what the model is sent for a part of the user's message, or None if it is read from a file."""
    match one["type"]:
        case "text":
            return text(one["text"])
        case "image":
            return _image(one)
        case "audio":
            return text(NO_AUDIO)
        case "localAudio":
            return text(f"{NO_AUDIO}: {one['path']}")
        case "mention":
            return text(f"[@{one['name']}]({one['path']})")
        case "localImage" | "skill":
            return None


def text(words: str) -> dict[str, Any]:
    """Return the part of a message that is text."""
    return {"type": "input_text", "text": words}


def image(url: str, detail: str | None) -> dict[str, Any]:
    """Return the part of a message that is an image."""
    return {"type": "input_image", "image_url": url} | ({"detail": detail} if detail else {})


def _image(one: ImageInput) -> dict[str, Any]:
    if "url" in one:
        return image(one["url"], one.get("detail"))
    detail = one.get("detail")
    return {"type": "input_image", "file_id": one.get("fileId")} | ({"detail": detail} if detail else {})


def tool_output(call_id: str, output: object) -> dict[str, Any]:
    """Return what the model is sent for the outcome of a call."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def output_of(content: list[ToolContent], *, success: bool) -> object:
    """Return what the model reads of a call: plain text where that is all."""
    if not content:
        return "" if success else SILENT_FAILURE
    if len(content) == 1 and content[0]["type"] == "inputText":
        return content[0]["text"]
    return [_output_part(one) for one in content]


def _output_part(one: ToolContent) -> dict[str, Any]:
    match one["type"]:
        case "inputText":
            return {"type": "input_text", "text": one["text"]}
        case "inputImage":
            return {"type": "input_image", "image_url": one["imageUrl"]}
        case "inputAudio":
            return {"type": "input_audio", "audio_url": one["audioUrl"]}
