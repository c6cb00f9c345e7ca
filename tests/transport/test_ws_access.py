from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.transport.ws_access import CapabilityToken, SignedBearer

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0
GOOD = {"iss": "us", "aud": "them", "exp": NOW + 60}


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def signed(claims: object, secret: bytes = SECRET, header: object = None) -> str:
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'} if header is None else header)}.{part(claims)}"
    signature = hmac.digest(secret, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def access(**options: Any) -> SignedBearer:  # noqa: ANN401 - the options of SignedBearer
    return SignedBearer(SECRET, clock=lambda: NOW, **options)


def test_a_capability_token_allows_itself_and_nothing_else() -> None:
    token = CapabilityToken(hashlib.sha256(b"the token").digest())
    assert token.allows("the token")
    assert not any(token.allows(other) for other in ("", "the toke", "the token ", "the tokeñ", "\udc80"))


def test_a_signed_token_is_good_until_it_expires_and_the_clocks_may_differ() -> None:
    assert access().allows(signed(GOOD))
    assert access().allows(signed({"exp": NOW - 29}))
    assert not access().allows(signed({"exp": NOW - 31}))
    assert access(skew=100).allows(signed({"exp": NOW - 99}))
    assert not access().allows(signed({"exp": NOW + 60, "nbf": NOW + 31}))
    assert access().allows(signed({"exp": NOW + 60, "nbf": NOW + 29}))


@pytest.mark.parametrize(
    "claims", [{}, {"exp": None}, {"exp": "tomorrow"}, {"exp": NOW + 60, "nbf": "now"}, [], "text", None, 7]
)
def test_a_signed_token_without_usable_times_is_refused(claims: object) -> None:
    assert not access().allows(signed(claims))


def test_issuer_and_audience_count_where_they_are_asked_for() -> None:
    assert access(issuer="us", audience="them").allows(signed(GOOD))
    assert access(audience="them").allows(signed({**GOOD, "aud": ["others", "them"]}))
    assert not access(issuer="others").allows(signed(GOOD))
    assert not access(audience="others").allows(signed(GOOD))
    assert not access(audience="them").allows(signed({"exp": NOW + 60}))


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS512"}, {"alg": ["HS256"]}, {}, [], None])
def test_another_algorithm_is_refused_even_where_the_signature_is_right(header: object) -> None:
    assert not access().allows(signed(GOOD, header=header if header is not None else "HS256"))


def test_another_secret_and_a_changed_token_are_refused() -> None:
    assert not access().allows(signed(GOOD, secret=SECRET[::-1]))
    header, _, signature = signed(GOOD).split(".")
    assert not access().allows(f"{header}.{part({**GOOD, 'exp': NOW * 2})}.{signature}")


@given(st.text() | st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_=."))
def test_whatever_is_shown_is_refused_without_an_error(token: str) -> None:
    assert not access().allows(token)
    assert not CapabilityToken(hashlib.sha256(b"another").digest()).allows(token)
