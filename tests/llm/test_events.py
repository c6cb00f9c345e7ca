"""What the backend's events and failures mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appserver.errors import BackendError, Unauthorized
from appserver.llm.events import (
    MAX_TOLD,
    decode_event,
    failure_in_stream,
    failure_of_answer,
    for_history,
    not_connected,
    stream_cut,
    token_usage,
)
from appserver.log import HiddenSecrets
from protocol.base import Secret


def in_stream(code: str, message: str = "words") -> BackendError:
    return failure_in_stream({"type": "response.failed", "response": {"error": {"code": code, "message": message}}})


def of_answer(status: int, **error: object) -> BackendError:
    return failure_of_answer(status, json.dumps({"error": error}).encode())


@pytest.mark.parametrize("data", ["[DONE]", "", "{", "[1]", "null", '{"type": 1}', "{}", "[" * 100_000])
def test_what_is_no_event_is_none(data: str) -> None:
    assert decode_event(data) is None


def test_an_event_of_any_type_passes() -> None:
    assert decode_event('{"type": "new.thing", "x": 1}') == {"type": "new.thing", "x": 1}


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_reads_as_null_and_costs_no_text(number: str) -> None:
    event = '{"type": "response.output_text.delta", "delta": "Hi", "logprobs": [{"logprob": NaN}]}'
    assert decode_event(event.replace("NaN", number)) == {
        "type": "response.output_text.delta",
        "delta": "Hi",
        "logprobs": [{"logprob": None}],
    }


CODES = [
    ("context_length_exceeded", "contextWindowExceeded", False),
    ("insufficient_quota", "usageLimitExceeded", False),
    ("usage_not_included", "usageLimitExceeded", False),
    ("usage_limit_reached", "usageLimitExceeded", False),
    ("rate_limit_exceeded", "rateLimitExceeded", True),
    ("server_is_overloaded", "serverOverloaded", True),
    ("slow_down", "serverOverloaded", True),
    ("cyber_policy", "cyberPolicy", False),
    ("never_heard_of", "other", True),
]


@pytest.mark.parametrize(("code", "info", "retryable"), CODES)
def test_a_failure_inside_a_stream_is_told_by_its_code(code: str, info: str, retryable: bool) -> None:
    failure = in_stream(code)
    assert (failure.info, failure.retryable, failure.message) == (info, retryable, "words")


def test_an_error_event_is_read_with_and_without_an_error_object() -> None:
    for event in ({"code": "slow_down", "message": "m"}, {"error": {"type": "slow_down", "message": "m"}}):
        assert failure_in_stream({"type": "error", **event}).info == "serverOverloaded"


def test_an_incomplete_answer_is_a_failure_that_no_retry_helps() -> None:
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    failure = failure_in_stream({"type": "response.incomplete", "response": details})
    assert "max_output_tokens" in failure.message
    assert not failure.retryable


@pytest.mark.parametrize(
    ("status", "info", "retryable"),
    [
        (400, "other", False),
        (403, {"httpConnectionFailed": {"httpStatusCode": 403}}, False),
        (404, {"httpConnectionFailed": {"httpStatusCode": 404}}, False),
        (429, "rateLimitExceeded", True),
        (500, "internalServerError", True),
        (502, {"httpConnectionFailed": {"httpStatusCode": 502}}, True),
        (503, {"httpConnectionFailed": {"httpStatusCode": 503}}, True),
        (799, {"httpConnectionFailed": {"httpStatusCode": 799}}, True),
    ],
)
def test_a_failed_answer_is_told_by_its_status(status: int, info: object, retryable: bool) -> None:
    failure = of_answer(status, message="words")
    assert (failure.info, failure.retryable, failure.status) == (info, retryable, status)


def test_a_known_code_says_more_than_the_status() -> None:
    assert of_answer(400, code="context_length_exceeded", message="m").info == "contextWindowExceeded"


def test_a_usage_limit_is_no_rate_limit_and_tells_when_it_resets() -> None:
    failure = of_answer(429, type="usage_limit_reached", message="limit", resets_at=1_893_456_000)
    assert (failure.info, failure.retryable) == ("usageLimitExceeded", False)
    assert failure.resets_at == 1_893_456_000
    assert "2030-01-01 00:00 UTC" in failure.message


@pytest.mark.parametrize("resets_at", [None, "soon", 1e300, float("nan"), -1e300, True])
def test_a_reset_that_makes_no_sense_does_no_harm(resets_at: object) -> None:
    failure = of_answer(429, type="usage_limit_reached", message="limit", resets_at=resets_at)
    assert failure.info == "usageLimitExceeded"


def test_401_is_unauthorized() -> None:
    assert isinstance(of_answer(401, message="expired"), Unauthorized)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 5}', b"\xff\xfe", b'{"error": {"message": 5}}'])
def test_a_failed_answer_of_any_shape_has_words(body: bytes) -> None:
    assert failure_of_answer(503, body).message


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached. Please try again in 11.054s.", 11.054),
        ("Please try again in 28ms.", 0.028),
        ("Try again in 5 seconds", 5.0),
        ("Try later", None),
        (f"try again in {'9' * 400}s", None),
    ],
)
def test_a_failure_inside_a_stream_may_say_when_to_come_back(words: str, seconds: float | None) -> None:
    assert in_stream("rate_limit_exceeded", words).retry_after == seconds


def test_connection_faults_have_names_and_can_be_retried() -> None:
    for failure, name in (
        (stream_cut("x"), "responseStreamDisconnected"),
        (not_connected("x"), "responseStreamConnectionFailed"),
    ):
        assert failure.info == {name: {"httpStatusCode": None}}
        assert failure.retryable


def test_usage_is_read_as_far_as_it_goes() -> None:
    details = {"cached_tokens": 2, "cache_write_tokens": 3}
    usage: Any = {"input_tokens": 10, "input_tokens_details": details, "output_tokens": "5"}
    assert token_usage({"type": "x", "response": {"usage": usage}}) == {
        "totalTokens": 0,
        "inputTokens": 10,
        "cachedInputTokens": 2,
        "cacheWriteInputTokens": 3,
        "outputTokens": 0,
        "reasoningOutputTokens": 0,
    }
    assert token_usage({"type": "x"}) is None


@pytest.mark.parametrize("number", ["1e300", "1e999", "NaN", "9" * 400, "-" + "9" * 400])
def test_a_number_that_no_client_could_read_counts_as_none(number: str) -> None:
    event = decode_event(f'{{"type": "x", "response": {{"usage": {{"total_tokens": {number}}}}}}}')
    assert event is not None
    usage = token_usage(event)
    assert usage is not None
    assert usage["totalTokens"] == 0


@pytest.mark.parametrize("length", range(MAX_TOLD - 30, MAX_TOLD + 1, 10))
def test_a_credential_is_found_also_where_a_text_is_cut(length: int) -> None:
    secret = "a-secret-without-a-form-of-its-own"
    hidden = HiddenSecrets()
    hidden.hide(Secret(secret))
    words = "x" * length + secret
    failures = (
        in_stream("unknown", words),
        of_answer(400, message=words),
        failure_of_answer(400, words.encode()),
        failure_in_stream({"type": "response.incomplete", "response": {"incomplete_details": {"reason": words}}}),
    )
    assert not [failure for failure in failures if "a-sec" in failure.message]


def test_an_incomplete_answer_says_why_if_it_does() -> None:
    for reason, told in (
        ("max_output_tokens", "max_output_tokens"),
        ({"x": 1}, "no reason given"),
        (None, "no reason"),
    ):
        event = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason}}}
        assert told in failure_in_stream(event).message


def test_history_knows_no_ids_of_the_backend() -> None:
    assert for_history({"type": "message", "id": "m", "status": "completed", "content": []}) == {
        "type": "message",
        "content": [],
    }
