"""Credentials: built from what the client or the issuer gives, in every shape."""

from __future__ import annotations

import pytest

from appserver.auth.credentials import ApiKey, external_tokens, managed_tokens
from appserver.errors import AuthError
from appserver.testing import make_jwt
from protocol.base import Secret


def jwt(
    account: str | None = "org-1",
    user: str | None = "user-1",
    email: str | None = "user@example.com",
    plan: str | None = "pro",
) -> Secret:
    return Secret(make_jwt(account=account, user=user, email=email, plan=plan))


def test_tokens_with_an_account_id_and_a_plan_are_taken_as_they_are() -> None:
    access = jwt("org-1", plan="pro")
    tokens = external_tokens(access, None, "org-1", "team")
    assert tokens.bearer == access
    assert tokens.account_id == "org-1"
    assert tokens.claims.plan == "team"
    assert tokens.mode == "chatgptAuthTokens"


def test_what_was_not_passed_comes_from_the_access_token() -> None:
    tokens = external_tokens(jwt("org-7", plan="plus", email="a@example.com"), None, None, None)
    assert (tokens.account_id, tokens.claims.plan, tokens.claims.email) == ("org-7", "plus", "a@example.com")


def test_the_earlier_shape_fills_what_the_access_token_lacks_from_the_id_token() -> None:
    access = jwt(None, user=None, email=None, plan=None)
    identity = jwt("org-2", user="user-2", email="b@example.com", plan="edu")
    tokens = external_tokens(access, identity, None, None)
    assert (tokens.account_id, tokens.claims.user_id) == ("org-2", "user-2")
    assert (tokens.claims.email, tokens.claims.plan) == ("b@example.com", "edu")


def test_the_access_token_says_when_it_ends_not_the_id_token() -> None:
    access, identity = Secret(make_jwt(expires_in=60)), Secret(make_jwt(expires_in=9000))
    expires_at = external_tokens(access, identity, None, None).claims.expires_at
    assert expires_at == external_tokens(access, None, None, None).claims.expires_at


def test_tokens_that_name_no_account_are_taken_without_one() -> None:
    assert external_tokens(jwt(None), None, None, None).account_id is None


def test_an_account_id_is_taken_where_the_tokens_name_none() -> None:
    assert external_tokens(jwt(None), None, "org-5", None).account_id == "org-5"


@pytest.mark.parametrize("passed", ["org-2", "user@example.com"])
@pytest.mark.parametrize("tokens", [(jwt("org-1"), None), (jwt(None), jwt("org-1"))])
def test_the_account_of_the_tokens_is_used_whatever_id_is_passed(
    tokens: tuple[Secret, Secret | None], passed: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert external_tokens(*tokens, passed, None).account_id == "org-1"
    assert "chatgptAccountId is not the account" in caplog.text
    assert passed not in caplog.text


def test_tokens_of_two_accounts_are_refused() -> None:
    with pytest.raises(AuthError, match="different accounts"):
        external_tokens(jwt("org-1"), jwt("org-2"), None, None)


@pytest.mark.parametrize("bad", ["opaque-token-of-some-length", "a.b.c", "e30.!!!!.c2ln"])
def test_a_token_that_is_no_jwt_is_refused_without_repeating_it(bad: str) -> None:
    with pytest.raises(AuthError, match="access token is not a JWT") as access:
        external_tokens(Secret(bad), None, None, None)
    with pytest.raises(AuthError, match="id token is not a JWT") as identity:
        external_tokens(jwt(), Secret(bad), None, None)
    assert bad not in str(access.value)
    assert bad not in str(identity.value)


def test_a_managed_login_is_who_the_id_token_says() -> None:
    tokens = managed_tokens(
        jwt("org-3", plan="pro"), Secret("opaque"), Secret("refresh-1"), last_refresh="2026-01-01T00:00:00Z"
    )
    assert (tokens.account_id, tokens.claims.plan, tokens.mode) == ("org-3", "pro", "chatgpt")
    assert tokens.bearer == Secret("opaque")


def test_a_managed_login_with_an_opaque_access_token_has_no_known_end() -> None:
    tokens = managed_tokens(jwt(), Secret("opaque"), None, last_refresh="2026-01-01T00:00:00Z")
    assert tokens.claims.expires_at is None


def test_a_managed_login_ends_with_its_access_token() -> None:
    access = Secret(make_jwt(expires_in=60))
    tokens = managed_tokens(Secret(make_jwt(expires_in=9000)), access, None, last_refresh="2026-01-01T00:00:00Z")
    assert tokens.claims.expires_at == external_tokens(access, None, None, None).claims.expires_at


def test_a_stored_account_id_wins_over_the_id_token() -> None:
    tokens = managed_tokens(
        jwt("org-1"), Secret("opaque"), None, last_refresh="2026-01-01T00:00:00Z", account_id="org-2"
    )
    assert tokens.account_id == "org-2"


def test_a_managed_login_needs_a_readable_id_token() -> None:
    with pytest.raises(AuthError, match="id token is not a JWT"):
        managed_tokens(Secret("opaque"), Secret("opaque"), None, last_refresh="2026-01-01T00:00:00Z")


def test_no_repr_shows_a_credential() -> None:
    access, refresh, key = jwt(), Secret("refresh-of-some-length"), Secret("key-of-some-length")
    held = (
        ApiKey(key),
        external_tokens(access, access, None, None),
        managed_tokens(access, access, refresh, last_refresh="2026-01-01T00:00:00Z", api_key=key),
    )
    for secret in (access, refresh, key):
        assert secret.reveal() not in repr(held)
