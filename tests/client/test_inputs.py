"""What the user says, in the forms in which people write it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from appserver.client import image
from appserver.client.inputs import Input, wire_input
from appserver.client.types import ImageInput, LocalImageInput, TextInput

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
TEXT = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("Hi", [TEXT]),
        (TextInput("Hi"), [TEXT]),
        (
            ["Hi", ImageInput(url="https://example.com/a.png")],
            [TEXT, {"type": "image", "url": "https://example.com/a.png"}],
        ),
        ((), []),
    ],
)
def test_strings_and_items_are_input_alone_or_together(said: Input, sent: list[dict[str, object]]) -> None:
    assert wire_input(said) == sent


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF....WEBP", "image/webp"),
    ],
)
def test_the_kind_of_an_image_is_found_in_its_bytes(data: bytes, kind: str) -> None:
    found = image(data)
    assert isinstance(found, ImageInput)
    assert (found.url or "").startswith(f"data:{kind};base64,")


def test_bytes_of_another_kind_need_a_media_type() -> None:
    with pytest.raises(ValueError, match="name its media_type"):
        image(b"<svg>")
    assert image(b"<svg>", "image/svg+xml") == ImageInput(url="data:image/svg+xml;base64,PHN2Zz4=")


def test_urls_stay_and_files_are_named_by_their_whole_path(tmp_path: Path) -> None:
    assert image("https://example.com/a.png") == ImageInput(url="https://example.com/a.png")
    assert image("a.png") == LocalImageInput(os.path.abspath("a.png"))
    assert image(tmp_path / "a.png") == LocalImageInput(str(tmp_path / "a.png"))
