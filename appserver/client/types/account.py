"""Classes of protocol/account.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from appserver.client.wire import Data, Unknown

AuthMode = Literal["apikey", "chatgpt", "chatgptAuthTokens", "personalAccessToken"]


@dataclass(frozen=True)
class ApiKeyLoginResult(Data):
    type: ClassVar[Literal["apiKey"]] = "apiKey"


@dataclass(frozen=True)
class ChatgptLoginResult(Data):
    """Open `auth_url` in a browser; `account/login/completed` tells how it went."""

    type: ClassVar[Literal["chatgpt"]] = "chatgpt"
    login_id: str
    auth_url: str


@dataclass(frozen=True)
class DeviceCodeLoginResult(Data):
    """Show `user_code` and `verification_url`; `account/login/completed` tells how it went."""

    type: ClassVar[Literal["chatgptDeviceCode"]] = "chatgptDeviceCode"
    login_id: str
    verification_url: str
    user_code: str


@dataclass(frozen=True)
class AuthTokensLoginResult(Data):
    type: ClassVar[Literal["chatgptAuthTokens"]] = "chatgptAuthTokens"


LoginResult = ApiKeyLoginResult | ChatgptLoginResult | DeviceCodeLoginResult | AuthTokensLoginResult | Unknown


@dataclass(frozen=True)
class LoginCancelResult(Data):
    """notFound: that login has ended, or never was."""

    status: Literal["canceled", "notFound"]


@dataclass(frozen=True)
class ApiKeyAccount(Data):
    type: ClassVar[Literal["apiKey"]] = "apiKey"


@dataclass(frozen=True)
class ChatgptAccount(Data):
    """Signed in with ChatGPT, by the server or by the client's tokens."""

    type: ClassVar[Literal["chatgpt"]] = "chatgpt"
    email: str | None
    plan_type: str | None


Account = ApiKeyAccount | ChatgptAccount | Unknown


@dataclass(frozen=True)
class NeedsLogin(Data):
    """The stored login cannot be used any more, and why."""

    reason: str


@dataclass(frozen=True)
class AccountReadResult(Data):
    """account is null when nobody is signed in. needs_login is ours: there when the user has to sign in again."""

    account: Account | None
    requires_openai_auth: bool
    needs_login: NeedsLogin | None = None


@dataclass(frozen=True)
class LogoutResult(Data):
    """Nobody is signed in now."""


@dataclass(frozen=True)
class GetAuthStatusResult(Data):
    """auth_token is there only where includeToken asked for it."""

    auth_method: AuthMode | None
    auth_token: str | None = field(repr=False)
    requires_openai_auth: bool | None


@dataclass(frozen=True)
class AuthTokensRefreshParams(Data):
    """What the client is told when its tokens are no longer accepted."""

    reason: Literal["unauthorized"]
    previous_account_id: str | None
