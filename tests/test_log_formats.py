"""What the environment says about the form of log lines."""

from __future__ import annotations

import pytest

from appserver.errors import ConfigError
from appserver.log_formats import wanted_format

OURS, THEIRS = "APPSERVER_LOG_FORMAT", "LOG_FORMAT"


@pytest.mark.parametrize(
    ("environ", "form"),
    [
        ({}, "text"),
        ({OURS: ""}, "text"),
        ({OURS: "json"}, "json"),
        ({OURS: "JSON"}, "json"),
        ({THEIRS: "json"}, "json"),
        ({OURS: "text", THEIRS: "json"}, "text"),
        ({THEIRS: "pretty"}, "text"),
    ],
)
def test_our_own_variable_wins_over_that_of_the_reference(environ: dict[str, str], form: str) -> None:
    assert wanted_format(environ) == form


def test_a_mistake_in_our_own_variable_is_an_error() -> None:
    with pytest.raises(ConfigError, match=OURS):
        wanted_format({OURS: "xml"})
