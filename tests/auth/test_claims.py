"""Claims: what is read from a token, and that nothing which is no token gets through or is repeated."""

from __future__ import annotations

import base64
import json
import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appserver.auth.claims import Claims, read_claims
from appserver.testing import make_jwt

AUTH = "https://api.openai.com/auth"
PROFILE = "https://api.openai.com/profile"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
claim_names = st.sampled_from(["email", "exp", AUTH, PROFILE]) | st.text()
auth_names = st.sampled_from(["chatgpt_plan_type", "chatgpt_user_id", "user_id", "chatgpt_account_id", "email"])


def token_of(payload: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"e30.{part}.c2ln"


def read_or_refuse(token: str) -> Claims | ValueError:
    try:
        return read_claims(token)
    except ValueError as exc:
        return exc


def check_types(claims: Claims) -> None:
    for text in (claims.email, claims.plan, claims.user_id, claims.account_id):
        assert text is None or len(text) > 0
    assert type(claims.expires_at) in (float, type(None))


@given(st.text())
@example("a.b.c")
@example("..")
@example("e30.é.x")
@example("e30.W10.x")
def test_any_text_gives_claims_or_a_value_error_that_does_not_repeat_it(token: str) -> None:
    result = read_or_refuse(token)
    if isinstance(result, Claims):
        check_types(result)
    elif len(token) > 20:  # a shorter text could be part of any sentence
        assert token not in str(result)


@given(st.binary(max_size=200))
def test_any_payload_gives_claims_or_a_value_error(raw: bytes) -> None:
    payload = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    result = read_or_refuse(f"e30.{payload}.c2ln")
    if isinstance(result, Claims):
        check_types(result)
    elif len(payload) > 20:
        assert payload not in str(result)


@given(st.dictionaries(claim_names, json_values | st.dictionaries(auth_names, json_values)))
@example({"exp": True})
@example({"exp": math.nan})
@example({AUTH: {"chatgpt_account_id": 7}, PROFILE: [], "email": {}})
def test_claims_of_any_type_are_read_or_count_as_missing(payload: dict[str, object]) -> None:
    result = read_or_refuse(token_of(payload))
    if isinstance(result, Claims):
        check_types(result)


def test_an_end_beyond_all_time_counts_as_missing() -> None:
    assert read_claims(token_of({"exp": 10**400})).expires_at is None


def test_all_claims_of_an_issued_token_are_read() -> None:
    claims = read_claims(make_jwt(account="org-9", user="user-9", email="a@example.com", plan="team"))
    assert (claims.account_id, claims.user_id, claims.email, claims.plan) == (
        "org-9",
        "user-9",
        "a@example.com",
        "team",
    )
    assert claims.expires_at is not None


def test_email_and_user_id_are_found_in_their_second_places() -> None:
    claims = read_claims(token_of({PROFILE: {"email": "b@example.com"}, AUTH: {"user_id": "user-2"}}))
    assert claims.email == "b@example.com"
    assert claims.user_id == "user-2"


def test_a_token_without_claims_is_still_a_token() -> None:
    assert read_claims(token_of({})) == Claims()


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c.d", ".e30.x", "e30..x"])
def test_what_has_not_three_parts_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="three parts"):
        read_claims(token)


def test_a_payload_that_is_nested_too_deep_is_refused() -> None:
    nested = "[" * (sys.getrecursionlimit() * 100)
    payload = base64.urlsafe_b64encode(nested.encode()).decode()
    with pytest.raises(ValueError, match="payload"):
        read_claims(f"e30.{payload}.c2ln")
