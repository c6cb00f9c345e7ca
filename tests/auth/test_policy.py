"""What the administrator allows, in the reference's words, and what no HTTP header can carry."""

from __future__ import annotations

import pytest

from appserver.auth.credentials import ApiKey
from appserver.auth.policy import (
    check_credential,
    check_external_workspace,
    check_login_method,
    check_sendable,
)
from appserver.errors import AuthError, RequestError
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.manager_rig import external, managed

KEY = ApiKey(Secret("sk-test"))
KINDS = ("apiKey", "chatgpt", "chatgptDeviceCode", "chatgptAuthTokens")


def settings(method: str | None = None, *workspaces: str) -> Settings:
    return Settings(home="unused", forced_login_method=method, forced_workspaces=workspaces)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_forced_method_every_login_is_allowed(kind: str) -> None:
    check_login_method(settings(), kind)


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("chatgpt", "apiKey", "API key login is disabled. Use ChatGPT login instead."),
        ("api", "chatgpt", "ChatGPT login is disabled. Use API key login instead."),
        ("api", "chatgptDeviceCode", "ChatGPT login is disabled. Use API key login instead."),
        ("api", "chatgptAuthTokens", "External ChatGPT auth is disabled. Use API key login instead."),
    ],
)
def test_a_forced_method_refuses_the_others_in_the_references_words(method: str, kind: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_login_method(settings(method), kind)
    assert caught.value.message == words


@pytest.mark.parametrize(("method", "kind"), [("api", "apiKey"), *(("chatgpt", kind) for kind in KINDS[1:])])
def test_a_forced_method_allows_itself(method: str, kind: str) -> None:
    check_login_method(settings(method), kind)


def test_external_tokens_of_another_workspace_are_refused_in_the_references_words() -> None:
    with pytest.raises(RequestError) as one:
        check_external_workspace(settings(None, "org-1"), "org-2")
    assert one.value.message == 'External auth must use one of workspace(s) ["org-1"], but received "org-2".'
    with pytest.raises(RequestError) as several:
        check_external_workspace(settings(None, "org-1", "org-3"), None)
    assert several.value.message.startswith('External auth must use one of workspace(s) ["org-1", "org-3"], but ')


def test_external_tokens_of_any_allowed_workspace_are_taken() -> None:
    check_external_workspace(settings(), None)
    check_external_workspace(settings(None, "org-1", "org-2"), "org-2")


def test_a_credential_of_another_workspace_may_not_be_used() -> None:
    for credential in (managed(account="org-2"), external(account="org-2")):
        with pytest.raises(AuthError) as caught:
            check_credential(settings(None, "org-1"), credential)
        assert caught.value.message == (
            "Login is restricted to workspace(s) org-1, but current credentials belong to org-2"
        )


def test_a_credential_without_a_workspace_may_not_be_used_where_one_is_forced() -> None:
    with pytest.raises(AuthError, match="no workspace"):
        check_credential(settings(None, "org-1"), managed(account=None))


def test_a_forced_workspace_says_nothing_of_api_keys() -> None:
    check_credential(settings(None, "org-1"), KEY)


def test_a_credential_of_another_kind_than_the_forced_one_may_not_be_used() -> None:
    with pytest.raises(AuthError, match="ChatGPT login is required"):
        check_credential(settings("chatgpt"), KEY)
    for credential in (managed(), external()):
        with pytest.raises(AuthError, match="API key login is required"):
            check_credential(settings("api"), credential)


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "sk-ä", "sk-a\r\nX-Injected: 1", "sk-\x00", "sk-\u2028"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(AuthError) as caught:
        check_sendable(ApiKey(Secret(key)))
    assert caught.value.message == "The API key has characters that cannot be sent"


def test_an_account_id_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(AuthError, match="account id"):
        check_credential(settings(), managed(account="org\r\n-1"))
