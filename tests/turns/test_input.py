"""What the user says, as the model reads it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from appserver.errors import InvalidParams
from appserver.turns import input as inputs
from appserver.turns.input import message_item, preview

PNG = b"\x89PNG\r\n\x1a\n rest"


def parts(*content: Any, home: object = "/nowhere") -> list[dict[str, Any]]:  # noqa: ANN401 - literal dicts
    found: list[dict[str, Any]] = message_item(list(content), str(home))["content"]
    return found


def words(*content: Any, home: object = "/nowhere") -> str:  # noqa: ANN401 - literal dicts
    [part] = parts(*content, home=home)
    assert part["type"] == "input_text"
    return str(part["text"])


def skill(path: Path, name: str = "greet") -> dict[str, str]:
    return {"type": "skill", "name": name, "path": str(path)}


@pytest.fixture
def skills(tmp_path: Path) -> Path:
    """A home's folder of skills, with one skill in it."""
    folder = tmp_path / "home" / "skills"
    (folder / "greet").mkdir(parents=True)
    (folder / "greet" / "SKILL.md").write_text("Say hello.\n\n", "utf-8")
    return folder


def test_text_is_input_text_of_the_user() -> None:
    item = message_item([{"type": "text", "text": "Hi"}], "/nowhere")
    assert item == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


def test_an_image_is_sent_by_its_url_with_the_detail_that_was_asked_for() -> None:
    assert parts({"type": "image", "url": "https://x/y.png"}, {"type": "image", "url": "u", "detail": "high"}) == [
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_image", "image_url": "u", "detail": "high"},
    ]


def test_an_image_at_the_backend_is_sent_by_its_id() -> None:
    assert parts({"type": "image", "fileId": "file-1", "detail": "low"}) == [
        {"type": "input_image", "file_id": "file-1", "detail": "low"}
    ]


def test_an_image_that_names_nothing_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidParams, match=r"input\.1: an image needs a url or a fileId"):
        parts({"type": "text", "text": "x"}, {"type": "image"})


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/png", PNG),
        ("image/jpeg", b"\xff\xd8\xff\xe0"),
        ("image/gif", b"GIF89a"),
        ("image/webp", b"RIFF\0\0\0\0WEBPVP8 "),
    ],
)
def test_a_local_image_is_sent_as_data_whatever_its_name(tmp_path: Path, kind: str, data: bytes) -> None:
    file = tmp_path / "picture"
    file.write_bytes(data)
    [part] = parts({"type": "localImage", "path": str(file), "detail": "high"})
    url = f"data:{kind};base64," + base64.b64encode(data).decode()
    assert part == {"type": "input_image", "image_url": url, "detail": "high"}


@pytest.mark.parametrize("data", [b"", b"text", b"RIFF\0\0\0\0WAVE", b"<svg/>"])
def test_a_file_that_is_no_image_is_told_of_in_words(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(data)
    assert f"`{file}` was left out" in words({"type": "localImage", "path": str(file)})


@pytest.mark.parametrize(
    ("path", "problem"), [("none.png", "No such file"), (".", "a directory"), ("a\0b", "not a path")]
)
def test_an_image_that_cannot_be_read_is_told_of_in_words(tmp_path: Path, path: str, problem: str) -> None:
    told = words({"type": "localImage", "path": f"{tmp_path}/{path}"})
    assert "could not be read" in told
    assert problem in told


def test_a_huge_image_is_told_of_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_IMAGE_BYTES", 10)
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    assert "larger than 10 bytes" in words({"type": "localImage", "path": str(file)})


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / "a.png")
    assert "it is a pipe" in words({"type": "localImage", "path": str(tmp_path / "a.png")})


def test_a_mention_is_told_by_name_and_path() -> None:
    assert words({"type": "mention", "name": "n.txt", "path": "/work/n.txt"}) == "[@n.txt](/work/n.txt)"


@pytest.mark.parametrize(
    "item", [{"type": "audio", "url": "data:audio/wav;base64,AA"}, {"type": "localAudio", "path": "/a"}]
)
def test_sound_is_told_of_in_words(item: dict[str, str]) -> None:
    assert "audio content omitted" in words(item)


@pytest.mark.parametrize("named", ["greet/SKILL.md", "greet", "../skills/greet/SKILL.md"])
def test_a_skill_of_the_home_is_read(skills: Path, named: str) -> None:
    chosen = skill(skills / named)
    expected = f"<skill>\n<name>greet</name>\n<path>{chosen['path']}</path>\nSay hello.\n</skill>"
    assert words(chosen, home=skills.parent) == expected


@pytest.mark.parametrize("named", ["../secret", "../../secret", "none/SKILL.md", "greet/../../secret", "a\0b", ""])
def test_a_skill_from_elsewhere_is_told_of_by_its_name_alone(skills: Path, named: str) -> None:
    for folder in (skills.parent, skills.parent.parent):
        (folder / "secret").write_text("secret", "utf-8")
    chosen = skill(Path(f"{skills}/{named}"))
    assert words(chosen, home=skills.parent) == f"<skill>\n<name>greet</name>\n<path>{chosen['path']}</path>\n</skill>"


@pytest.mark.parametrize("linked", ["greet/SKILL.md", "greet"])
def test_a_link_out_of_the_folder_of_skills_is_not_followed(skills: Path, linked: str) -> None:
    outside = skills.parent / "outside"
    outside.mkdir()
    (outside / "SKILL.md").write_text("secret", "utf-8")
    link = skills / "linked" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "SKILL.md" if linked.endswith(".md") else outside)
    for path in (link, link / "SKILL.md"):
        assert "secret" not in words(skill(path), home=skills.parent)


def test_a_skill_as_long_as_a_book_is_not_read(skills: Path) -> None:
    (skills / "greet" / "SKILL.md").write_bytes(b"x" * (inputs.MAX_SKILL_BYTES + 1))
    assert words(skill(skills / "greet"), home=skills.parent).count("x") == 0


def test_a_folder_of_skills_that_is_a_link_is_still_the_homes(skills: Path) -> None:
    other = skills.parent.parent / "other"
    other.mkdir()
    (other / "skills").symlink_to(skills)
    assert "Say hello." in words(skill(other / "skills" / "greet"), home=other)


def test_the_preview_is_the_beginning_of_the_text() -> None:
    content: list[Any] = [
        {"type": "text", "text": "one"},
        {"type": "image", "url": "u"},
        {"type": "text", "text": "two"},
    ]
    assert preview(content) == "one two"
    assert len(preview([{"type": "text", "text": "x" * 999}])) == inputs.PREVIEW_CHARACTERS
