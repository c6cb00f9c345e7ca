"""How many tokens a request is taken to need before it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.gateway.estimate import ASSUMED_OUTPUT, estimated

LARGE = 1_000_000
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64," + "x" * 10_000}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"input": "x" * 400, "max_output_tokens": 16}, 116),
        ({"input": "x", "max_output_tokens": 16}, 17),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x" * 392}]}], "max_output_tokens": 16}, 116),
        ({"instructions": "x" * 400, "input": "x" * 400, "tools": [{"name": "x" * 400}], "max_output_tokens": 1}, 301),
        ({"input": "\u6f22" * 400, "max_output_tokens": 1}, 301),
        ({"input": [IMAGE], "max_output_tokens": 16}, 19),
        ({"input": "\ud800" * 4, "max_output_tokens": 1}, 4),
        ({}, ASSUMED_OUTPUT),
        ({"input": None, "max_output_tokens": None}, ASSUMED_OUTPUT),
        ({"input": 5, "max_output_tokens": "16"}, ASSUMED_OUTPUT),
        ({"input": "", "max_output_tokens": -1}, ASSUMED_OUTPUT),
    ],
)
def test_text_counts_by_its_size_and_the_answer_by_what_the_request_allows(body: dict[str, Any], tokens: int) -> None:
    assert estimated(body, LARGE) == tokens


def test_an_answer_without_a_limit_leaves_room_for_others() -> None:
    assert estimated({"input": "Hi"}, 1000) == 101


@pytest.mark.parametrize("body", [{"input": "x" * 400}, {"input": "Hi", "max_output_tokens": 10**9}])
def test_a_request_is_never_taken_to_need_more_than_the_limit(body: dict[str, Any]) -> None:
    assert estimated(body, 50) == 50
