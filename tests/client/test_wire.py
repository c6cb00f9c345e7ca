"""From JSON to classes and back, whatever a server of another version sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.client import ServerGone
from appserver.client.types import (
    AgentMessageItem,
    ItemCompletedNotification,
    ModeSettings,
    RateLimitsReadResult,
    TextInput,
    ThreadItemEntry,
    Unknown,
    UserMessageItem,
)
from appserver.client.wire import decode, encode
from protocol.names import camel, snake

MESSAGE = {"type": "agentMessage", "id": "m", "text": "Hello", "phase": None}
COMPLETED = {"item": MESSAGE, "threadId": "t", "turnId": "u", "completedAtMs": 3}


def test_members_become_attributes_in_snake_case_and_tags_choose_the_class() -> None:
    note = ItemCompletedNotification.from_wire(COMPLETED)
    assert note == ItemCompletedNotification(AgentMessageItem("m", "Hello", None), "t", "u", 3)
    assert note.item.type == "agentMessage"
    assert note.method == "item/completed"


def test_a_member_that_is_not_known_is_passed_over() -> None:
    assert ItemCompletedNotification.from_wire({**COMPLETED, "new": 1}).turn_id == "u"


def test_an_item_of_a_kind_that_is_not_known_is_kept_as_it_is() -> None:
    raw = {"type": "hologram", "id": "h"}
    note = ItemCompletedNotification.from_wire({**COMPLETED, "item": raw})
    assert note.item == Unknown("hologram", raw)
    assert encode(note) == {**COMPLETED, "item": raw}


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ({"item": MESSAGE}, "threadId in ItemCompletedNotification"),
        ({**COMPLETED, "item": {"type": "agentMessage"}}, "there is no id in AgentMessageItem"),
        ([], "there is no ItemCompletedNotification"),
    ],
)
def test_what_does_not_have_the_shape_is_a_fault_of_the_server(value: object, missing: str) -> None:
    with pytest.raises(ServerGone, match=missing):
        decode(ItemCompletedNotification, value)


@pytest.mark.parametrize("content", ["text", None, {"a": 1}])
def test_a_list_that_is_none_is_a_fault_of_the_server(content: object) -> None:
    with pytest.raises(ServerGone, match="a list is missing"):
        UserMessageItem.from_wire({"id": "m", "clientId": None, "content": content})


def test_lists_maps_and_optional_objects_are_read_to_their_depth() -> None:
    limits: dict[str, Any] = dict.fromkeys(("limitId", "limitName", "secondary", "credits", "individualLimit"))
    limits |= dict.fromkeys(("spendControlReached", "planType", "rateLimitReachedType"))
    limits["primary"] = {"usedPercent": 13, "windowDurationMins": None, "resetsAt": 1}
    rest = dict.fromkeys(("rateLimitResetCredits", "ordinaryUsageAllowed", "rateLimitUpsell", "accountId"))
    read = RateLimitsReadResult.from_wire({"rateLimits": limits, "rateLimitsByLimitId": {"codex": limits}, **rest})
    primary = read.rate_limits_by_limit_id["codex"].primary
    assert primary is not None
    assert primary.used_percent == 13


def test_what_may_be_left_out_is_left_out_and_names_keep_their_spelling() -> None:
    assert encode([TextInput("Hi"), ModeSettings("m", reasoning_effort="low")]) == [
        {"type": "text", "text": "Hi"},
        {"model": "m", "reasoning_effort": "low"},
    ]


def test_a_required_member_is_sent_as_null() -> None:
    entry = ThreadItemEntry(AgentMessageItem("m", "Hello", None), "u", None)
    assert encode(entry) == {"item": MESSAGE, "turnId": "u", "completedAtMs": None}


@given(st.from_regex(r"[a-z][a-z0-9]{1,5}(_[a-z][a-z0-9]{1,5}){0,3}", fullmatch=True))
def test_a_name_of_whole_words_is_found_again(name: str) -> None:
    assert snake(camel(name)) == name
