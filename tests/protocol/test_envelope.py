from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import envelope
from protocol.envelope import Kind

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
messages = st.dictionaries(
    st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc"]) | st.text(max_size=3), values
)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"id": 1, "method": "m"}, Kind.REQUEST),
        ({"id": "a", "method": "m", "params": {}}, Kind.REQUEST),
        ({"id": 0, "method": "m", "params": []}, Kind.REQUEST),
        ({"id": -1, "method": "m", "params": None}, Kind.REQUEST),
        ({"id": "", "method": ""}, Kind.REQUEST),
        ({"id": 10**40, "method": "m", "jsonrpc": "2.0", "extra": 1}, Kind.REQUEST),
        ({"method": "m"}, Kind.NOTIFICATION),
        ({"method": "m", "params": {}}, Kind.NOTIFICATION),
        ({"id": 1, "result": None}, Kind.RESPONSE),
        ({"id": "a", "error": {"code": 1, "message": "m"}}, Kind.RESPONSE),
        ({"id": 1, "error": "oops"}, Kind.RESPONSE),
        ({"id": 1, "error": None}, Kind.RESPONSE),
        ({"id": 1, "method": "m", "result": 1}, Kind.REQUEST),
    ],
)
def test_messages_are_told_apart_by_their_members(message: dict[str, Any], kind: Kind) -> None:
    assert envelope.classify(message) is kind


@pytest.mark.parametrize("request_id", [True, False, 1.0, 1.5, None, [], {}, [1]])
def test_only_strings_and_integers_identify_a_request(request_id: object) -> None:
    assert not envelope.is_id(request_id)
    assert envelope.classify({"id": request_id, "method": "m"}) is Kind.INVALID
    assert envelope.classify({"id": request_id, "result": 1}) is Kind.INVALID
    assert envelope.readable_id({"id": request_id}) is None


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": 1},
        {"result": 1},
        {"error": {}},
        {"jsonrpc": "2.0"},
        {"id": 1, "method": 5},
        {"id": 1, "method": None},
        {"id": 1, "method": "m", "params": 5},
        {"id": 1, "method": "m", "params": "text"},
        {"id": 1, "method": "m", "params": False},
        {"method": "m", "params": 0},
    ],
)
def test_wrong_envelopes_are_invalid(message: dict[str, Any]) -> None:
    assert envelope.classify(message) is Kind.INVALID


@given(messages)
def test_every_object_is_something_and_only_an_identified_one_is_answered(message: dict[str, Any]) -> None:
    kind = envelope.classify(message)
    if kind in (Kind.REQUEST, Kind.RESPONSE):
        assert envelope.readable_id(message) == message["id"]
    if kind is Kind.NOTIFICATION:
        assert "id" not in message


@given(values)
def test_an_id_is_read_from_objects_only(value: object) -> None:
    if not isinstance(value, dict):
        assert envelope.readable_id(value) is None


def test_what_is_built_is_classified_as_what_it_is() -> None:
    assert envelope.classify(envelope.request(1, "m", {})) is Kind.REQUEST
    assert envelope.classify(envelope.notification("m", {})) is Kind.NOTIFICATION
    assert envelope.classify(envelope.result(1, None)) is Kind.RESPONSE
    assert envelope.classify(envelope.error("a", -32600, "m")) is Kind.RESPONSE


def test_an_error_has_data_only_where_there_is_some_and_a_null_id_where_none_was_read() -> None:
    assert envelope.error(None, -1, "m") == {"id": None, "error": {"code": -1, "message": "m"}}
    assert envelope.error(1, -1, "m", {"a": 1})["error"] == {"code": -1, "message": "m", "data": {"a": 1}}


def test_a_result_of_null_is_still_sent() -> None:
    assert json.loads(json.dumps(envelope.result(1, None))) == {"id": 1, "result": None}
