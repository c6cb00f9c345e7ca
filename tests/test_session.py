from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import InvalidParams
from appserver.handlers.handshake import initialize
from appserver.session import DEFAULT_ORIGINATOR, Session, platform_family, platform_os
from appserver.settings import Settings

SETTINGS = Settings("/home/of/tests")
CLIENT = {"name": "editor", "title": "Editor", "version": "1.2"}
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")  # RFC 9110, section 5.5, and ASCII only


def test_before_the_handshake_a_session_has_no_client() -> None:
    session = Session()
    assert not session.initialized
    assert session.originator == DEFAULT_ORIGINATOR
    assert session.opted_out == frozenset()


def test_the_client_becomes_originator_and_user_agent() -> None:
    session = Session()
    session.begin("editor", "1.2", frozenset({"account/updated"}))
    assert session.initialized
    assert session.originator == "editor"
    assert session.user_agent.startswith("editor/")
    assert session.user_agent.endswith("(editor; 1.2)")
    assert session.opted_out == {"account/updated"}


@given(st.text(), st.text())
def test_whatever_the_client_calls_itself_makes_a_valid_header(name: str, version: str) -> None:
    session = Session()
    session.begin(name, version, frozenset())
    assert HEADER_VALUE.fullmatch(session.originator)
    assert HEADER_VALUE.fullmatch(session.user_agent)


@pytest.mark.parametrize("name", ["", " ", "   "])
def test_a_client_without_a_name_gets_ours(name: str) -> None:
    session = Session()
    session.begin(name, "1", frozenset())
    assert session.originator == DEFAULT_ORIGINATOR


def test_a_line_break_cannot_smuggle_a_header() -> None:
    session = Session()
    session.begin("editor\r\nauthorization: x", "1\n", frozenset())
    assert session.originator == "editor__authorization: x"
    assert "\n" not in session.user_agent


@pytest.mark.parametrize(
    ("platform", "family", "system"),
    [
        ("linux", "unix", "linux"),
        ("darwin", "unix", "macos"),
        ("win32", "windows", "windows"),
        ("freebsd14", "unix", "freebsd14"),
    ],
)
def test_platforms_are_named_as_the_reference_names_them(
    platform: str, family: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert (platform_family(), platform_os()) == (family, system)


def test_initialize_says_who_we_are_and_where_we_live() -> None:
    session = Session()
    result = initialize(session, SETTINGS, {"clientInfo": CLIENT})
    assert result == {
        "userAgent": session.user_agent,
        "codexHome": "/home/of/tests",
        "platformFamily": platform_family(),
        "platformOs": platform_os(),
    }


@pytest.mark.parametrize(
    ("capabilities", "opted_out"),
    [
        ({}, set()),
        (None, set()),
        ({"experimentalApi": True, "unknown": 1}, set()),
        ({"optOutNotificationMethods": None}, set()),
        ({"optOutNotificationMethods": []}, set()),
        ({"optOutNotificationMethods": ["a", "b", "a"]}, {"a", "b"}),
    ],
)
def test_capabilities_are_optional(capabilities: object, opted_out: set[str]) -> None:
    session = Session()
    initialize(session, SETTINGS, {"clientInfo": CLIENT, "capabilities": capabilities})
    assert session.opted_out == opted_out


@pytest.mark.parametrize(
    ("params", "place"),
    [
        (None, "params"),
        ([], "params"),
        ({}, "clientInfo"),
        ({"clientInfo": "editor"}, "clientInfo"),
        ({"clientInfo": {}}, "clientInfo.name"),
        ({"clientInfo": {"name": "editor"}}, "clientInfo.version"),
        ({"clientInfo": {"name": 5, "version": "1"}}, "clientInfo.name"),
        ({"clientInfo": {"name": "editor", "version": None}}, "clientInfo.version"),
        ({"clientInfo": CLIENT, "capabilities": [1]}, "capabilities"),
        ({"clientInfo": CLIENT, "capabilities": {"optOutNotificationMethods": "a"}}, "optOutNotificationMethods"),
        ({"clientInfo": CLIENT, "capabilities": {"optOutNotificationMethods": [1]}}, "optOutNotificationMethods"),
    ],
)
def test_bad_params_name_the_place_and_do_not_begin_the_session(params: object, place: str) -> None:
    session = Session()
    with pytest.raises(InvalidParams, match=f"Invalid params for initialize: .*{place}"):
        initialize(session, SETTINGS, params)
    assert not session.initialized
