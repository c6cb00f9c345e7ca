"""What the environment says about logging, in the syntax of RUST_LOG."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import ConfigError
from appserver.log_levels import DEFAULT_LEVELS, level_numbers, wanted_levels

WARN, INFO, DEBUG, TRACE = 30, 20, 10, 5


@pytest.mark.parametrize(
    ("directives", "levels"),
    [
        ("", {"": WARN}),
        ("debug", {"": DEBUG}),
        ("Warning", {"": WARN}),
        ("trace", {"": TRACE}),
        ("info,foo=debug", {"": INFO, "foo": DEBUG}),
        (" info , foo = debug ,", {"": INFO, "foo": DEBUG}),
        ("appserver::rpc::dispatcher=debug", {"": WARN, "appserver.rpc.dispatcher": DEBUG}),
        ("appserver.rpc=debug", {"": WARN, "appserver.rpc": DEBUG}),
        ("info,error,debug", {"": DEBUG}),
    ],
)
def test_directives_name_a_level_for_all_and_for_single_targets(directives: str, levels: dict[str, int]) -> None:
    assert level_numbers(directives) == levels


def test_off_is_above_every_level() -> None:
    assert level_numbers("off")[""] > 50


def test_without_a_variable_warnings_are_logged() -> None:
    assert level_numbers(wanted_levels({})) == level_numbers(DEFAULT_LEVELS) == {"": WARN}
    assert wanted_levels({"APPSERVER_LOG": "", "RUST_LOG": ""}) == DEFAULT_LEVELS


def test_our_own_variable_wins() -> None:
    assert level_numbers(wanted_levels({"APPSERVER_LOG": "info", "RUST_LOG": "debug,foo=trace"})) == {"": INFO}
    assert level_numbers(wanted_levels({"RUST_LOG": "debug"})) == {"": DEBUG}


@pytest.mark.parametrize("mistake", ["loud", "info,loud", "foo=loud", "=", "debug=foo", "[span]=5"])
def test_a_mistake_in_our_own_variable_is_an_error(mistake: str) -> None:
    with pytest.raises(ConfigError, match="APPSERVER_LOG"):
        wanted_levels({"APPSERVER_LOG": mistake})


@pytest.mark.parametrize(
    ("theirs", "levels"),
    [
        ("codex_core", {"": WARN}),
        ("((bad=,info", {"": INFO}),
        ("off,codex_core[{thread=1,turn=2}]=trace", {"": 60, "turn=2}]": TRACE}),
        ("hyper=3,debug", {"": DEBUG}),
    ],
)
def test_what_is_not_for_us_in_rusts_variable_is_passed_over(theirs: str, levels: dict[str, int]) -> None:
    assert level_numbers(wanted_levels({"RUST_LOG": theirs})) == levels


@given(st.text() | st.text(alphabet="abinfodeug=,:. []", max_size=30))
def test_nothing_in_rusts_variable_is_an_error(theirs: str) -> None:
    assert "" in level_numbers(wanted_levels({"RUST_LOG": theirs}))
