"""What `appserver.auth` promises: its names, by semantic versioning, and that importing it costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from appserver import auth

PUBLIC = {
    "Account": "from_thread headers httpx_auth access_token access_token_from_thread login_api_key login_chatgpt "
    "login_device_code login_personal_access_token login_tokens logout open read refresh",
    "AccountAuth": "async_auth_flow sync_auth_flow",
    "AccountInfo": "account_id email expires_at is_renewable mode needs_login plan signed_in user_id",
    "PendingBrowserLogin": "auth_url cancel paste wait",
    "PendingDeviceLogin": "cancel user_code verification_url wait",
    "MemoryStore": "close delete has_record kind load load_in_place record redeeming refuse save stop_waiting swap "
    "version where",
    "CredentialStore": "close delete has_record kind load load_in_place record redeeming refuse save stop_waiting swap "
    "version where",
    "Redemption": "discard has_ended prepare write",
    "RefreshError": "message permanent retryable",
}
"""Classes, and those of their members that may not change before the next major version."""

NAMES = [
    "Account",
    "AccountAuth",
    "AccountInfo",
    "ApiKey",
    "AuthError",
    "ConfigError",
    "Contents",
    "Credential",
    "CredentialStore",
    "ExternalTokens",
    "LoginError",
    "ManagedTokens",
    "MemoryStore",
    "NotSignedIn",
    "PendingBrowserLogin",
    "PendingDeviceLogin",
    "PersonalToken",
    "Redemption",
    "RefreshError",
    "RefreshFunction",
    "RefreshRequest",
    "RefreshedTokens",
    "Secret",
    "StoreBusy",
    "StoreChangedError",
    "StoreError",
    "StoreKind",
    "credential_in",
    "document_with",
    "in_thread",
]


def test_the_public_names_are_these() -> None:
    assert sorted(auth.__all__) == NAMES
    assert all(getattr(auth, name) is not None for name in NAMES)
    assert sorted(name for names in auth._PLACES.values() for name in names) == NAMES


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Acount'"):
        _ = auth.Acount  # type: ignore[attr-defined] # that is the point


@pytest.mark.parametrize("name", PUBLIC)
def test_the_members_of_a_public_class_are_there(name: str) -> None:
    its = getattr(auth, name)
    instance = its("words") if name == "RefreshError" else its
    annotated = {one for base in its.__mro__ for one in vars(base).get("__annotations__", {})}
    missing = [one for one in PUBLIC[name].split() if not (hasattr(instance, one) or one in annotated)]
    assert missing == []


def test_how_an_account_is_opened_does_not_change() -> None:
    parameters = inspect.signature(auth.Account.open).parameters
    assert list(parameters) == [
        "home",
        "store",
        "store_kind",
        "issuer",
        "client_id",
        "refresh_skew",
        "background_refresh",
        "client_name",
        "client_version",
        "environ",
    ]
    assert all(one.kind is one.KEYWORD_ONLY for one in list(parameters.values())[1:])


@pytest.mark.parametrize("name", ["Account", "AccountAuth", "MemoryStore", "in_thread"])
def test_what_is_public_says_what_it_does(name: str) -> None:
    its = getattr(auth, name)
    members = [member for key, member in vars(its).items() if not key.startswith("_") and inspect.isfunction(member)]
    silent = [one.__qualname__ for one in [its, *members] if not one.__doc__]
    assert not silent or name == "MemoryStore", silent  # its Protocol has the docstrings


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    found = loaded("import appserver.auth")
    assert {name for name in found if name.startswith("appserver.")} == {"appserver.auth"}


def test_importing_an_account_brings_neither_an_event_loop_nor_http() -> None:
    found = loaded("from appserver.auth import Account")
    assert "appserver.auth.account" in found
    assert not found & {"anyio", "asyncio", "httpx", "pydantic", "filelock"}
