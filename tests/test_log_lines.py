"""Log records as lines: one each, in one form, whatever they hold."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.log import warning_line
from appserver.log_lines import CHATTY, MAX_CHARACTERS, LineFormatter, log_to
from tests.log_form import FORM, strange_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What `log_to` is given. Logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # or basicConfig would close those of the test run
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message: object, name: str = "appserver.rpc", level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, (), None)


def line(message: object, name: str = "appserver.rpc", level: int = logging.WARNING) -> str:
    return LineFormatter(str).format(record(message, name, level))


def test_a_line_has_the_form_of_the_reference() -> None:
    made = record("text")
    made.created, made.msecs = 1795520809.66, 660.0
    assert LineFormatter(str).format(made) == "2026-11-24T11:46:49.660Z WARN appserver::rpc: text"


@pytest.mark.parametrize(
    ("level", "name"),
    [(50, "ERROR"), (40, "ERROR"), (30, "WARN"), (25, "INFO"), (20, "INFO"), (10, "DEBUG"), (5, "TRACE"), (0, "TRACE")],
)
def test_levels_have_the_names_of_the_reference(level: int, name: str) -> None:
    assert f"Z {name} appserver" in line("text", level=level)


@given(st.text(), st.text(min_size=1).filter(str.strip), st.integers(0, 60))
def test_a_record_is_one_line_of_that_form_whatever_it_says(message: str, name: str, level: int) -> None:
    made = line(message, name, level)
    assert FORM.fullmatch(made), made
    assert made.isprintable()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1b[2J", "\x00"])
def test_what_ends_a_line_somewhere_or_moves_a_cursor_is_escaped(end: str) -> None:
    assert strange_lines(line(f"one{end}two")) == []
    assert "\\" in line(f"one{end}two")


def test_an_exception_is_told_with_its_traceback_on_the_same_line() -> None:
    made = record("failed")
    try:
        raise ValueError("two\nlines") from LookupError("the cause")
    except ValueError as exc:
        made.exc_info = (type(exc), exc, exc.__traceback__)
    told = LineFormatter(str).format(made)
    assert FORM.fullmatch(told)
    assert "failed\\nLookupError: the cause\\n" in told
    assert told.endswith("ValueError: two\\nlines")


def test_credentials_are_taken_out_before_the_line_is_cut() -> None:
    cut = LineFormatter(lambda text: text.replace("secret", "***")).format(
        record("x" * (MAX_CHARACTERS - 3) + "secret")
    )
    assert "sec" not in cut


def test_one_record_cannot_displace_all_others() -> None:
    assert len(line("x" * 10_000_000)) < MAX_CHARACTERS + 200


def test_a_warning_of_the_writer_has_the_form_too() -> None:
    assert FORM.fullmatch(warning_line("some lines\nwere dropped"))


def test_each_logger_tells_what_is_asked_for(stream: io.StringIO) -> None:
    log_to(stream, "info,tests.loud=debug,tests::silent=off", LineFormatter(str))
    for name in ("tests.loud", "tests.silent", "tests.other"):
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            logging.getLogger(name).log(level, "told")
    told = [text.split()[1:3] for text in stream.getvalue().splitlines()]
    assert told == [
        ["DEBUG", "tests::loud:"],
        ["INFO", "tests::loud:"],
        ["ERROR", "tests::loud:"],
        ["INFO", "tests::other:"],
        ["ERROR", "tests::other:"],
    ]


@pytest.mark.parametrize("chatty", [*CHATTY, "httpcore.http11"])
def test_libraries_that_tell_urls_cannot_be_asked_to(chatty: str, stream: io.StringIO) -> None:
    log_to(stream, f"trace,{chatty}=trace", LineFormatter(str))
    logging.getLogger(chatty).info("GET http://example/?session=opaque")
    logging.getLogger(chatty).error("a fault")
    assert "opaque" not in stream.getvalue()
    assert "a fault" in stream.getvalue()
