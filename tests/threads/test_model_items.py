"""What the model is sent for an item that clients see, where the item says it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from appserver.threads.model_items import SILENT_FAILURE, model_item, output_of

if TYPE_CHECKING:
    from protocol.item import Item
    from protocol.tool import ToolContent


def sent_for(kind: str, **members: object) -> dict[str, Any] | None:
    return model_item(cast("Item", {"type": kind, "id": "i-1", **members}))


def asked(*content: dict[str, Any]) -> dict[str, Any] | None:
    return sent_for("userMessage", clientId=None, content=list(content))


def test_the_model_is_sent_its_own_message_as_output_text() -> None:
    content = [{"type": "output_text", "text": "Hi"}]
    assert sent_for("agentMessage", text="Hi") == {"type": "message", "role": "assistant", "content": content}


def test_the_model_is_sent_text_and_images_of_the_user() -> None:
    text = {"type": "text", "text": "Look", "text_elements": []}
    images = {"type": "image", "url": "https://a.example/b"}, {"type": "image", "url": "data:,", "detail": "low"}
    sent = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a.example/b"},
        {"type": "input_image", "image_url": "data:,", "detail": "low"},
    ]
    assert asked(text, *images) == {"type": "message", "role": "user", "content": sent}


def test_a_message_that_names_a_file_does_not_say_what_was_in_it() -> None:
    assert asked({"type": "text", "text": "Look"}, {"type": "localImage", "path": "/a.png"}) is None


def test_the_model_is_sent_the_output_of_a_call_that_has_ended() -> None:
    content = [{"type": "inputText", "text": "open"}]
    sent = sent_for("dynamicToolCall", contentItems=content, success=True)
    assert sent == {"type": "function_call_output", "call_id": "i-1", "output": "open"}
    assert sent_for("dynamicToolCall", contentItems=None, success=None) is None


@pytest.mark.parametrize("kind", ["reasoning", "contextCompaction"])
def test_nothing_follows_from_other_items(kind: str) -> None:
    assert sent_for(kind) is None
    assert model_item(None) is None


@pytest.mark.parametrize(("success", "read"), [(True, ""), (False, SILENT_FAILURE)])
def test_a_call_without_content_has_an_output(success: bool, read: str) -> None:
    content: list[ToolContent] = []
    assert output_of(content, success=success) == read
