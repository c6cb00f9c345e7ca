"""What the user says to the model, as people write it: a string, an item, or a list of both. Pure but for `image`."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Sequence
from typing import Any

from appserver.client.types import ImageInput, LocalImageInput, TextInput
from appserver.client.types.item import UserInput
from appserver.client.wire import encode

Input = str | UserInput | Sequence[str | UserInput]
"""Text, items such as `ImageInput`, or several of them in their order."""


def wire_input(said: Input) -> list[dict[str, Any]]:
    """Return input items as requests have them."""
    items = [said] if isinstance(said, str) or not isinstance(said, Sequence) else said
    return [encode(TextInput(item) if isinstance(item, str) else item) for item in items]


def image(source: str | os.PathLike[str] | bytes, media_type: str | None = None) -> ImageInput | LocalImageInput:
    """Return an image as input: bytes (sent along), an https: or data: URL, or a file that the server reads.

    `media_type`: of bytes; found out from their first bytes if left out. Raises ValueError if it cannot be.
    """
    if isinstance(source, bytes):
        kind = media_type or _media_type(source)
        return ImageInput(url=f"data:{kind};base64,{base64.b64encode(source).decode('ascii')}")
    if isinstance(source, str) and source.startswith(("https:", "http:", "data:")):
        return ImageInput(url=source)
    return LocalImageInput(os.path.abspath(source))  # the server may have another working directory


def _media_type(data: bytes) -> str:
    for start, suffix in ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif")):
        if data.startswith(start):
            return mimetypes.types_map[suffix]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("this is no PNG, JPEG, GIF or WebP: name its media_type")
