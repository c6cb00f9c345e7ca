"""Signing in and out, what the account is, and the refresh request to the client."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import Secret, TaggedBy

AuthMode = Literal["apikey", "chatgpt", "chatgptAuthTokens", "personalAccessToken"]

PLAN_TYPES = frozenset(
    (
        "free",
        "go",
        "plus",
        "pro",
        "prolite",
        "promax",
        "team",
        "self_serve_business_prolite",
        "self_serve_business_usage_based",
        "business",
        "ent26",
        "enterprise_cbp_automation",
        "enterprise_cbp_usage_based",
        "enterprise",
        "edu",
        "edu_plus",
        "edu_pro",
    )
)


def plan_type(raw: str | None) -> str | None:
    """The plan as the protocol names it. A plan that it does not name reads as "unknown" (None stays None)."""
    if raw is None:
        return None
    return raw if raw in PLAN_TYPES else "unknown"


class ApiKeyLogin(TypedDict):
    type: Literal["apiKey"]
    apiKey: Secret


class ChatgptLogin(TypedDict):
    """Sign in with a browser: OAuth authorization code with PKCE (RFC 7636)."""

    type: Literal["chatgpt"]


class DeviceCodeLogin(TypedDict):
    """Sign in with a code typed on another device (RFC 8628)."""

    type: Literal["chatgptDeviceCode"]


class AuthTokensLogin(TypedDict):
    """Sign in with tokens that the client owns. What is missing is read from the claims of the tokens."""

    type: Literal["chatgptAuthTokens"]
    accessToken: Secret
    idToken: NotRequired[Secret | None]
    chatgptAccountId: NotRequired[str | None]
    chatgptPlanType: NotRequired[str | None]


LoginParams = Annotated[ApiKeyLogin | ChatgptLogin | DeviceCodeLogin | AuthTokensLogin, TaggedBy("type")]


class ApiKeyLoginResult(TypedDict):
    type: Literal["apiKey"]


class ChatgptLoginResult(TypedDict):
    """Open `authUrl` in a browser; `account/login/completed` tells how it went."""

    type: Literal["chatgpt"]
    loginId: str
    authUrl: str


class DeviceCodeLoginResult(TypedDict):
    """Show `userCode` and `verificationUrl`; `account/login/completed` tells how it went."""

    type: Literal["chatgptDeviceCode"]
    loginId: str
    verificationUrl: str
    userCode: str


class AuthTokensLoginResult(TypedDict):
    type: Literal["chatgptAuthTokens"]


LoginResult = Annotated[
    ApiKeyLoginResult | ChatgptLoginResult | DeviceCodeLoginResult | AuthTokensLoginResult, TaggedBy("type")
]


class LoginCancelParams(TypedDict):
    loginId: str


class LoginCancelResult(TypedDict):
    """notFound: that login has ended, or never was."""

    status: Literal["canceled", "notFound"]


class LoginCompletedNotification(TypedDict):
    """How a login ended. Comes exactly once for each loginId; loginId is null where the login had none."""

    loginId: str | None
    success: bool
    error: str | None


class AccountUpdatedNotification(TypedDict):
    """The account that is in use has changed. authMode is null when nobody is signed in."""

    authMode: AuthMode | None
    planType: str | None


class AccountReadParams(TypedDict):
    """refreshToken: get new tokens first, where the login is one that the server manages."""

    refreshToken: NotRequired[bool]


class ApiKeyAccount(TypedDict):
    type: Literal["apiKey"]


class ChatgptAccount(TypedDict):
    """Signed in with ChatGPT, by the server or by the client's tokens."""

    type: Literal["chatgpt"]
    email: str | None
    planType: str | None


Account = Annotated[ApiKeyAccount | ChatgptAccount, TaggedBy("type")]


class NeedsLogin(TypedDict):
    """The stored login cannot be used any more, and why."""

    reason: str


class AccountReadResult(TypedDict):
    """account is null when nobody is signed in. needsLogin is ours: there when the user has to sign in again."""

    account: Account | None
    requiresOpenaiAuth: bool
    needsLogin: NotRequired[NeedsLogin]


class LogoutParams(TypedDict):
    """scope "local" (ours) ends the login here without revoking it at the issuer, where other machines may use it."""

    scope: NotRequired[Literal["local", "everywhere"] | None]


class LogoutResult(TypedDict):
    """Nobody is signed in now."""


class GetAuthStatusParams(TypedDict):
    """The older way to ask who is signed in."""

    includeToken: NotRequired[bool | None]
    refreshToken: NotRequired[bool | None]


class GetAuthStatusResult(TypedDict):
    """authToken is there only where includeToken asked for it."""

    authMethod: AuthMode | None
    authToken: str | None
    requiresOpenaiAuth: bool | None


class AuthTokensRefreshParams(TypedDict):
    """What the client is told when its tokens are no longer accepted."""

    reason: Literal["unauthorized"]
    previousAccountId: str | None


class AuthTokensRefreshResult(TypedDict):
    """New tokens from the client, in the same two shapes as at login."""

    accessToken: Secret
    idToken: NotRequired[Secret | None]
    chatgptAccountId: NotRequired[str | None]
    chatgptPlanType: NotRequired[str | None]
