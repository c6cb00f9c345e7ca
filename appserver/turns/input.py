"""The user's input as the Responses API takes it. Reads the image files that it names, and nothing else.

It is read before the request that brings it is answered: an image that cannot be used refuses the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.errors import InvalidParams
from appserver.turns.model_items import image, input_part

if TYPE_CHECKING:
    from protocol.item import UserInput

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""The backend refuses larger images."""

PREVIEW_CHARACTERS = 160


def message_item(content: list[UserInput]) -> dict[str, Any]:
    """Build the input item of a user message. Raises InvalidParams if an image cannot be read."""
    return {"type": "message", "role": "user", "content": [_part(one) for one in content]}


def preview(content: list[UserInput]) -> str:
    """Return the beginning of the text, for lists of threads."""
    return " ".join(one["text"] for one in content if one["type"] == "text")[:PREVIEW_CHARACTERS]


def _part(one: UserInput) -> dict[str, Any] | None:
    return image(_data_url(one["path"]), one.get("detail")) if one["type"] == "localImage" else input_part(one)


def _data_url(path: str) -> str:
    import base64  # late, both: most turns have no image
    import mimetypes

    kind = mimetypes.guess_type(path)[0] or ""
    if not kind.startswith("image/"):
        raise InvalidParams(f"{path}: not an image by its name")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as exc:
        raise InvalidParams(f"{path}: {exc.strerror}") from None
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidParams(f"{path}: larger than {MAX_IMAGE_BYTES // 2**20} MiB")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
