"""The user's input as the Responses API takes it. Reads the files that it names, and nothing else.

No file refuses a turn: what cannot be read, or cannot be sent, is told to the model in words.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from appserver.errors import InvalidParams
from appserver.regular_file import read_regular
from appserver.threads.model_items import image, input_part, text

if TYPE_CHECKING:
    from protocol.item import LocalImageInput, SkillInput, UserInput

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""The backend refuses larger images."""

MAX_SKILL_BYTES = 256 * 1024
"""Many times what a skill's text takes. It stays in the history of the thread."""

PREVIEW_CHARACTERS = 160

SKILL_FILE = "SKILL.md"

_IMAGES: Final = (
    # kind, and how its files begin: the backend refuses others, and with them every later turn of the thread
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
)


def names_files(content: list[UserInput]) -> bool:
    """Whether `message_item` reads files: a disk may be slow."""
    return any(one["type"] in ("localImage", "skill") for one in content)


def message_item(content: list[UserInput], home: str) -> dict[str, Any]:
    """Build the input item of a user message. Raises InvalidParams for an image that names nothing."""
    for number, one in enumerate(content):
        if one["type"] == "image" and "url" not in one and "fileId" not in one:
            raise InvalidParams(f"Invalid params: input.{number}: an image needs a url or a fileId")
    return {"type": "message", "role": "user", "content": [_part(one, home) for one in content]}


def preview(content: list[UserInput]) -> str:
    """Return the beginning of the text, for lists of threads."""
    return " ".join(one["text"] for one in content if one["type"] == "text")[:PREVIEW_CHARACTERS]


def _part(one: UserInput, home: str) -> dict[str, Any] | None:
    match one["type"]:
        case "localImage":
            return _local_image(one)
        case "skill":
            named = f"<name>{one['name']}</name>\n<path>{one['path']}</path>\n"
            return text(f"<skill>\n{named}{_skill(one, home)}</skill>")
        case _:
            return input_part(one)


def _local_image(one: LocalImageInput) -> dict[str, Any]:
    try:
        data = read_regular(one["path"], MAX_IMAGE_BYTES).data
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the path
        return text(f"The local image at `{one['path']}` could not be read: {_problem(exc)}")
    kind = next((kind for kind, beginning in _IMAGES if data.startswith(beginning)), None)
    if kind is None or (kind == "image/webp" and data[8:12] != b"WEBP"):
        return text(f"The local image at `{one['path']}` was left out: it is no PNG, JPEG, GIF or WebP")
    import base64  # late: most turns have no image

    return image(f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}", one.get("detail"))


def _skill(one: SkillInput, home: str) -> str:
    """Return the text of a skill, or nothing: only what lies in the home's folder of skills is read."""
    folder = os.path.realpath(os.path.join(home, "skills"))
    try:
        path = os.path.realpath(one["path"])
        path = os.path.join(path, SKILL_FILE) if os.path.isdir(path) else path
        if os.path.realpath(path) != path or os.path.commonpath((folder, path)) != folder:
            return ""
        return read_regular(path, MAX_SKILL_BYTES).data.decode("utf-8", "replace").rstrip("\n") + "\n"
    except (OSError, ValueError):  # ValueError: another drive, or a zero byte
        return ""


def _problem(exc: Exception) -> str:
    return (isinstance(exc, OSError) and exc.strerror) or "not a path"
