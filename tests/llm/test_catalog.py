"""model/list: the known models, the configured one, and paging through them."""

from __future__ import annotations

import pytest

from appserver.errors import InvalidParams
from appserver.llm.catalog import list_models


@pytest.mark.parametrize("configured", [None, "gpt-5.5", "my-own-model"])
def test_exactly_one_model_is_the_default(configured: str | None) -> None:
    models = list_models(configured, None, None)["data"]
    defaults = [model["id"] for model in models if model["isDefault"]]
    assert len(defaults) == 1
    assert configured in (None, defaults[0])


def test_pages_hold_every_model_once() -> None:
    every = [model["id"] for model in list_models(None, None, None)["data"]]
    paged: list[str] = []
    cursor: str | None = None
    while True:
        page = list_models(None, 2, cursor)
        paged += [model["id"] for model in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert paged == every
    assert len(set(paged)) == len(paged)


@pytest.mark.parametrize("cursor", ["x", "-1", "999", "9" * 5000, "٣", ""])
def test_a_cursor_of_somebody_elses_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidParams):
        list_models(None, None, cursor)


def test_a_limit_below_one_is_one() -> None:
    assert len(list_models(None, 0, None)["data"]) == 1


def test_the_default_effort_is_among_the_supported_ones() -> None:
    for model in list_models("my-own-model", None, None)["data"]:
        assert model["defaultReasoningEffort"] in [
            option["reasoningEffort"] for option in model["supportedReasoningEfforts"]
        ]


def test_a_model_tells_its_speeds_in_the_words_of_all_clients() -> None:
    for model in list_models("my-own-model", None, None)["data"]:
        fast = [] if model["id"] == "my-own-model" else ["priority"]
        assert [tier["id"] for tier in model["serviceTiers"]] == fast
        assert model["additionalSpeedTiers"] == ["fast"] * len(fast)
        assert model["defaultServiceTier"] in (None, *fast)


def test_an_older_model_names_the_one_to_use_in_its_place() -> None:
    models = {model["id"]: model for model in list_models(None, None, None)["data"]}
    older = [model for model in models.values() if model["upgrade"]]
    assert older
    for model in older:
        assert model["upgrade"] in models
        assert model["upgradeInfo"] is not None
        assert model["upgradeInfo"]["model"] == model["upgrade"]
