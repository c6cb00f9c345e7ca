"""Signing users in and keeping their credentials fresh, as a library: without a server. Public API.

    async with Account.open(home) as account:
        async with httpx.AsyncClient(auth=account.httpx_auth()) as client: ...

It is the server's own code, and shares a home with any number of servers and other programs: the same `auth.json`, the
same locks, one redemption of a refresh token. The names in `__all__` and what their docstrings say follow semantic
versioning; all else in this package may change with any release. See docs/auth.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appserver.auth.account import Account
    from appserver.auth.account_info import AccountInfo
    from appserver.auth.account_settings import StoreKind
    from appserver.auth.credentials import ApiKey, Credential, ExternalTokens, ManagedTokens, PersonalToken
    from appserver.auth.httpx_auth import AccountAuth
    from appserver.auth.in_thread import in_thread
    from appserver.auth.login.handles import PendingBrowserLogin, PendingDeviceLogin
    from appserver.auth.refresh.base import RefreshedTokens, RefreshRequest
    from appserver.auth.refresh.function import RefreshFunction
    from appserver.auth.stores.auth_json import credential_in, document_with
    from appserver.auth.stores.base import Contents, CredentialStore, MemoryStore, Redemption
    from appserver.errors import (
        AuthError,
        ConfigError,
        LoginError,
        NotSignedIn,
        RefreshError,
        StoreBusy,
        StoreChangedError,
        StoreError,
    )
    from protocol.base import Secret

__all__ = [
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

_PLACES = {
    "appserver.auth.account": ("Account",),
    "appserver.auth.account_info": ("AccountInfo",),
    "appserver.auth.account_settings": ("StoreKind",),
    "appserver.auth.credentials": ("ApiKey", "Credential", "ExternalTokens", "ManagedTokens", "PersonalToken"),
    "appserver.auth.httpx_auth": ("AccountAuth",),
    "appserver.auth.in_thread": ("in_thread",),
    "appserver.auth.login.handles": ("PendingBrowserLogin", "PendingDeviceLogin"),
    "appserver.auth.refresh.base": ("RefreshRequest", "RefreshedTokens"),
    "appserver.auth.refresh.function": ("RefreshFunction",),
    "appserver.auth.stores.auth_json": ("credential_in", "document_with"),
    "appserver.auth.stores.base": ("Contents", "CredentialStore", "MemoryStore", "Redemption"),
    "appserver.errors": (
        "AuthError",
        "ConfigError",
        "LoginError",
        "NotSignedIn",
        "RefreshError",
        "StoreBusy",
        "StoreChangedError",
        "StoreError",
    ),
    "protocol.base": ("Secret",),
}
"""Where the names are. Each is imported when it is first asked for: the start of the server needs none of them here."""

if not TYPE_CHECKING:  # for the type checker, the imports above say it

    def __getattr__(name: str) -> object:
        place = next((place for place, names in _PLACES.items() if name in names), None)
        if place is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = globals()[name] = getattr(import_module(place), name)
        return found
