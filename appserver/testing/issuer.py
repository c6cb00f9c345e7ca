"""The fake OAuth issuer: authorize, token, revoke; device.py has the device endpoints.

Owns authorization codes and the rules of each grant. The ledger decides which tokens are good. Knows nothing of
models.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from appserver.loopback import Response
from appserver.testing.device import DeviceLogin
from appserver.testing.ledger import RefreshState
from appserver.testing.service import FaultyService, error_body, respond
from appserver.testing.tokens import Profile, code_challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.testing.ledger import TokenLedger
    from appserver.testing.recording import RecordedRequest
    from appserver.testing.service import Routes

AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE_PATH: Final = "/oauth/revoke"
WHOAMI_PATH: Final = "/api/accounts/v1/user-auth-credential/whoami"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693, 2.1
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class _Code:
    challenge: str
    redirect_uri: str
    profile: Profile


class Issuer(FaultyService):
    """The scriptable issuer.

    `profile` signs in next. `refresh_profile`, if set, is whom a refresh answers with, in place of whom the
    token was issued to (another workspace, say). `expires_in`: seconds, of access tokens. `omit`: names of
    tokens to leave out of a refresh answer; without a new refresh token the old one stays good. `api_keys`:
    False refuses to exchange an ID token for an API key. `device`: the device-code flow.
    """

    def __init__(self, ledger: TokenLedger) -> None:
        super().__init__()
        self.profile = Profile()
        self.refresh_profile: Profile | None = None
        self.expires_in: float | None = 3600
        self.omit: frozenset[str] = frozenset()
        self.api_keys = True
        self.url = ""  # where it can be reached; known once the backend listens
        self.personal_tokens: dict[str, Profile] = {}
        """Personal access tokens, and whose they are."""
        self.device = DeviceLogin(self._make_device_code)
        self._ledger = ledger
        self._codes: dict[str, _Code] = {}
        self._denials: list[str] = []

    def deny_next(self, error: str = "access_denied") -> None:
        """Send the next user who comes to the authorize page back with this error."""
        self._denials.append(error)

    def routes(self) -> Routes:
        return {
            ("GET", AUTHORIZE_PATH): self._authorize,
            ("POST", TOKEN_PATH): self._token,
            ("POST", REVOKE_PATH): self._revoke,
            ("GET", WHOAMI_PATH): self._whoami,
            **self.device.routes(),
        }

    async def _whoami(self, request: RecordedRequest) -> Response:
        """Tell whose a personal access token is."""
        profile = self.personal_tokens.get(request.bearer or "")
        if profile is None or not self._ledger.accepts(request.bearer):
            return respond(error_body("invalid_token", "no such token"), 401)
        return respond(
            {
                "email": profile.email,
                "chatgpt_user_id": profile.user,
                "chatgpt_account_id": profile.account,
                "chatgpt_plan_type": profile.plan,
                "chatgpt_account_is_fedramp": False,
            },
        )

    async def _authorize(self, request: RecordedRequest) -> Response:
        """Redirect back at once (RFC 6749, 4.1.2): the user of a fake issuer has made up their mind."""
        query = request.query
        if problem := _authorize_problem(query):
            return _refusal("invalid_request", problem)
        answer = {"state": query["state"]} if "state" in query else {}
        if self._denials:
            answer |= {"error": self._denials.pop(0), "error_description": "The fake user said no."}
        else:
            answer |= {"code": self._make_code(query["code_challenge"], query["redirect_uri"])}
        return Response(302, {"location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    async def _token(self, request: RecordedRequest) -> Response:
        params = request.params()
        match params.get("grant_type"):
            case "authorization_code":
                return self._redeem(params)
            case "refresh_token":
                return self._refresh(str(params.get("refresh_token", "")))
            case grant_type if grant_type == TOKEN_EXCHANGE:
                return self._exchange(params)
        return _refusal("unsupported_grant_type", "The fake issuer does not know this grant.")

    def _redeem(self, params: Mapping[str, Any]) -> Response:
        """Exchange an authorization code. It is spent by the attempt, successful or not (RFC 6749, 4.1.2)."""
        code = self._codes.pop(str(params.get("code")), None)
        if code is None:
            return _refusal("invalid_grant", "The code is unknown or was used before.")
        if params.get("redirect_uri") != code.redirect_uri:
            return _refusal("invalid_grant", "The redirect_uri is not that of the authorization request.")
        if code_challenge(str(params.get("code_verifier", ""))) != code.challenge:
            return _refusal("invalid_grant", "The code_verifier does not fit the code_challenge.")
        return self._tokens(code.profile)

    def _refresh(self, token: str) -> Response:
        state = self._ledger.refresh_state(token)
        if state is not RefreshState.LIVE:
            return respond(error_body(state.value, "The refresh token is not good any more."), 401)
        if "refresh_token" not in self.omit:
            self._ledger.use(token)
        return self._tokens(self.refresh_profile or self._ledger.profile_of(token), self.omit)

    def _exchange(self, params: Mapping[str, Any]) -> Response:
        if not self.api_keys or params.get("requested_token") != "openai-api-key":
            return _refusal("invalid_request", "There is no API key to be had for this token.")
        key = f"sk-fake-{secrets.token_hex(8)}"
        self._ledger.accept(key)
        return respond({"access_token": key, "token_type": "Bearer"})

    async def _revoke(self, request: RecordedRequest) -> Response:
        self._ledger.revoke(str(request.params().get("token")))
        return respond({})

    def _tokens(self, profile: Profile, omit: frozenset[str] = frozenset()) -> Response:
        grant = self._ledger.issue(profile, self.expires_in)
        kept = {name: token for name, token in grant.as_dict().items() if name not in omit}
        lifetime = {} if self.expires_in is None else {"expires_in": self.expires_in}
        return respond({**kept, "token_type": "Bearer", **lifetime})

    def _make_code(self, challenge: str, redirect_uri: str) -> str:
        code = f"fake-code-{secrets.token_hex(8)}"
        self._codes[code] = _Code(challenge, redirect_uri, self.profile)
        return code

    def _make_device_code(self, redirect_path: str) -> tuple[str, str, str]:
        verifier = secrets.token_urlsafe(32)
        challenge = code_challenge(verifier)
        return self._make_code(challenge, self.url + redirect_path), verifier, challenge


def _authorize_problem(query: Mapping[str, str]) -> str | None:
    """Say what is wrong with an authorization request. These are told to the user, not by redirect."""
    missing = {"client_id", "redirect_uri", "code_challenge"} - query.keys()
    if missing:
        return f"The request lacks {', '.join(sorted(missing))}."
    if not _is_loopback(query["redirect_uri"]):
        return "The redirect_uri is not on this machine."  # else we would be an open redirect
    if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
        return "Only response_type=code with code_challenge_method=S256 is offered."
    return None


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:  # no URL at all
        return False


def _refusal(error: str, description: str) -> Response:
    """Answer an error as RFC 6749 (section 5.2) spells it."""
    return respond({"error": error, "error_description": description}, 400)
