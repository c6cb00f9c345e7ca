"""What the browser comes back with: which part of it counts, and that it shows nothing secret."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from appserver.auth.login.redirect import MAX_DESCRIPTION, Redirect, read_pasted, read_redirect
from appserver.errors import LoginError
from protocol.base import Secret
from tests.auth.told import shown

CODE, STATE = "code-0123456789", "state-0123456789"


def refusal(**query: str) -> str:
    result = read_redirect(urlencode(query)).result
    assert isinstance(result, LoginError)
    return result.message


def test_a_code_is_read_with_the_state_it_was_sent_with() -> None:
    expected = Redirect(Secret(STATE), Secret(CODE))
    assert read_redirect(f"code={CODE}&state={STATE}&scope=openid") == expected
    assert read_pasted(Secret(f" http://localhost:1455/auth/callback?code={CODE}&state={STATE}\n")) == expected


@pytest.mark.parametrize("code", ["", "line\nbreak", "ünicode"])
def test_what_cannot_be_sent_is_no_code(code: str) -> None:
    assert read_redirect(urlencode({"code": code, "state": STATE})) == Redirect(Secret(STATE), None)


def test_what_stands_there_twice_counts_as_missing() -> None:
    assert read_redirect(f"code={CODE}&code=other&state={STATE}") == Redirect(Secret(STATE), None)
    assert read_redirect(f"code={CODE}&state={STATE}&state=") == Redirect(Secret(""), Secret(CODE))


def test_a_query_without_anything_is_no_result_of_no_state() -> None:
    assert read_redirect("") == read_pasted(Secret("hello")) == Redirect(Secret(""), None)


def test_a_refusal_counts_before_a_code_and_is_told_in_the_issuers_words() -> None:
    assert "said no" in refusal(error="access_denied", error_description="The user said no.", code=CODE)
    assert "access_denied" in refusal(error="access_denied")
    assert "does not say why" in refusal(error="")


def test_a_refusal_is_one_short_line_without_credentials() -> None:
    told = refusal(error="x", error_description="\x1b[31m\n sk-0123456789 " + "y" * 10_000)
    assert told.isprintable()
    assert "sk-0123456789" not in told
    assert len(told) < MAX_DESCRIPTION + 50


def test_a_redirect_shows_neither_code_nor_state() -> None:
    for text in shown(read_redirect(f"code={CODE}&state={STATE}")):
        assert CODE not in text
        assert STATE not in text
