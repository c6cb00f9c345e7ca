"""PKCE and state: what they are made of, and that they are never the same."""

from __future__ import annotations

import re

import pytest

from appserver.auth.oauth.pkce import new_pkce, new_state, s256_challenge

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


def test_challenge_is_that_of_the_rfc_example() -> None:
    # RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert s256_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_verifier_has_the_length_and_characters_that_the_rfc_allows() -> None:
    verifier = new_pkce().verifier.reveal()
    assert 43 <= len(verifier) <= 128
    assert UNRESERVED.fullmatch(verifier)


def test_challenge_belongs_to_its_verifier() -> None:
    pkce = new_pkce()
    assert pkce.challenge == s256_challenge(pkce.verifier.reveal())
    assert len(pkce.challenge) == 43


def test_no_two_attempts_share_a_verifier_or_a_state() -> None:
    assert len({new_pkce().verifier for _ in range(100)}) == 100
    assert len({new_state() for _ in range(100)}) == 100


def test_state_is_long_and_safe_in_a_url() -> None:
    state = new_state()
    assert len(state) >= 32
    assert UNRESERVED.fullmatch(state)


def test_repr_does_not_show_the_verifier() -> None:
    pkce = new_pkce()
    assert pkce.verifier.reveal() not in repr(pkce)


def test_a_verifier_that_is_not_ascii_has_no_challenge() -> None:
    with pytest.raises(UnicodeEncodeError):
        s256_challenge("é")
