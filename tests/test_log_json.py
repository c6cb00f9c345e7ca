"""Log records as JSON: one object a line, whatever they hold."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.log_json import JsonFormatter
from appserver.log_lines import MAX_CHARACTERS
from appserver.request_context import RequestContext, current_context
from appserver.trace_context import TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
EVERYTHING = RequestContext(3, "request-1", "thread-1", "turn-1", TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01"))


def record(message: object, name: str = "appserver.rpc", level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, (), None)


def members(made: logging.LogRecord, hidden: str = "secret") -> dict[str, Any]:
    line = JsonFormatter(lambda text: text.replace(hidden, "***")).format(made)
    assert line.isascii()
    assert line.isprintable()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture
def context() -> Iterator[None]:
    outer = current_context.set(EVERYTHING)
    yield
    current_context.reset(outer)


def test_a_line_tells_time_level_target_and_message() -> None:
    made = record("text")
    made.created = 1795520809.66
    assert members(made) == {
        "time": "2026-11-24T11:46:49.660Z",
        "level": "WARN",
        "target": "appserver::rpc",
        "message": "text",
    }


@pytest.mark.usefixtures("context")
def test_a_line_tells_what_it_belongs_to() -> None:
    found = members(record("text"))
    names = ("connection", "requestId", "threadId", "turnId", "traceId")
    assert [found[name] for name in names] == [3, "request-1", "thread-1", "turn-1", TRACE_ID]


@given(st.text(), st.text(), st.integers(0, 60), st.text())
def test_a_record_is_one_object_whatever_it_says(message: str, name: str, level: int, thread_id: str) -> None:
    outer = current_context.set(RequestContext(thread=thread_id))
    try:
        found = members(record(message, name, level), hidden="\x00never")
    finally:
        current_context.reset(outer)
    assert (found["message"], found["target"], found["threadId"]) == (message, name.replace(".", "::"), thread_id)


def test_an_exception_is_a_member() -> None:
    made = record("failed")
    try:
        raise ValueError("two\nlines, and the secret") from LookupError("the cause")
    except ValueError as exc:
        made.exc_info = (type(exc), exc, exc.__traceback__)
    found = members(made)
    assert found["message"] == "failed"
    assert found["exception"].startswith("LookupError: the cause\n")
    assert found["exception"].endswith("ValueError: two\nlines, and the ***")


def test_no_member_shows_a_credential() -> None:
    outer = current_context.set(RequestContext(None, "a secret", "secret thread", "secret turn"))
    try:
        found = members(record("a secret", "secret"))
    finally:
        current_context.reset(outer)
    assert "secret" not in str(found)


def test_credentials_are_taken_out_of_the_text_before_it_is_quoted() -> None:
    assert members(record('{"key": "quo"ted"}'), hidden='"quo"ted"')["message"] == '{"key": ***}'


def test_one_record_cannot_displace_all_others() -> None:
    outer = current_context.set(RequestContext(request="y" * 10_000_000))
    try:
        found = members(record("x" * 10_000_000))
    finally:
        current_context.reset(outer)
    assert sum(map(len, map(str, found.values()))) < 2 * MAX_CHARACTERS + 200
