"""What the user says, as the model reads it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from appserver.errors import InvalidParams
from appserver.turns import input as inputs
from appserver.turns.input import message_item, preview

if TYPE_CHECKING:
    from pathlib import Path


def parts(*content: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - literal dicts
    found: list[dict[str, Any]] = message_item(list(content))["content"]
    return found


def test_text_is_input_text_of_the_user() -> None:
    item = message_item([{"type": "text", "text": "Hi"}])
    assert item == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


def test_an_image_is_sent_by_its_url_with_the_detail_that_was_asked_for() -> None:
    assert parts({"type": "image", "url": "https://x/y.png"}, {"type": "image", "url": "u", "detail": "high"}) == [
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_image", "image_url": "u", "detail": "high"},
    ]


def test_a_local_image_is_sent_as_data(tmp_path: Path) -> None:
    file = tmp_path / "a.PNG"
    file.write_bytes(b"\x89PNG")
    url = parts({"type": "localImage", "path": str(file)})[0]["image_url"]
    assert url == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


@pytest.mark.parametrize(("name", "problem"), [("a.txt", "not an image"), ("a.png", "No such file"), ("a", "not an")])
def test_a_file_that_is_no_readable_image_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(InvalidParams, match=problem):
        parts({"type": "localImage", "path": str(tmp_path / name)})


def test_a_huge_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_IMAGE_BYTES", 10)
    file = tmp_path / "a.png"
    file.write_bytes(b"x" * 11)
    with pytest.raises(InvalidParams, match="larger"):
        parts({"type": "localImage", "path": str(file)})


def test_the_preview_is_the_beginning_of_the_text() -> None:
    content: list[Any] = [
        {"type": "text", "text": "one"},
        {"type": "image", "url": "u"},
        {"type": "text", "text": "two"},
    ]
    assert preview(content) == "one two"
    assert len(preview([{"type": "text", "text": "x" * 999}])) == inputs.PREVIEW_CHARACTERS
