"""Which tokens the fake backend honours: the one place that issuer and model API share.

Owns the rules of expiry and single use. Looks at no clock and into no token: a token is good until the
test, or the protocol, says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from appserver.testing.tokens import make_grant

if TYPE_CHECKING:
    from appserver.testing.tokens import Grant, Profile


class RefreshState(Enum):
    """The state of a refresh token; each value but LIVE is the error code that the issuer answers."""

    LIVE = "live"
    USED = "refresh_token_reused"
    EXPIRED = "refresh_token_expired"
    INVALIDATED = "refresh_token_invalidated"


@dataclass
class _RefreshToken:
    profile: Profile
    state: RefreshState = RefreshState.LIVE


class TokenLedger:
    """Every token issued, and its state.

    Access: any bearer is good, also one never issued here, until `expire_access_tokens` is called the first
    time. From then on only those are that were issued, or named to `accept`, since the latest call.
    """

    def __init__(self) -> None:
        self._strict = False
        self._accepted: set[str] = set()
        self._rejected: set[str] = set()
        self._refresh: dict[str, _RefreshToken] = {}

    def issue(self, profile: Profile, expires_in: float | None = 3600) -> Grant:
        """Make tokens that are good from now on."""
        grant = make_grant(profile, expires_in)
        self.accept(grant.access_token)
        self._refresh[grant.refresh_token] = _RefreshToken(profile)
        return grant

    def accept(self, token: str) -> None:
        """Honour this access token or API key."""
        self._rejected.discard(token)
        self._accepted.add(token)

    def reject(self, token: str) -> None:
        """Honour this access token or API key no longer."""
        self._accepted.discard(token)
        self._rejected.add(token)

    def accepts(self, token: str | None) -> bool:
        """Tell whether the model API answers this bearer."""
        if not token or token in self._rejected:
            return False
        return token in self._accepted or not self._strict

    def expire_access_tokens(self) -> None:
        """Honour no access token or API key from before this call."""
        self._strict = True
        self._accepted.clear()

    def expire_refresh_tokens(self) -> None:
        """Let every live refresh token end as `refresh_token_expired`."""
        for token in self._refresh.values():
            if token.state is RefreshState.LIVE:
                token.state = RefreshState.EXPIRED

    def refresh_state(self, token: str) -> RefreshState:
        """Tell what a refresh token is worth; one never issued here is INVALIDATED."""
        known = self._refresh.get(token)
        return known.state if known else RefreshState.INVALIDATED

    def profile_of(self, token: str) -> Profile:
        """Return whom a refresh token was issued to. Raises KeyError if it was not issued here."""
        return self._refresh[token].profile

    def use(self, token: str) -> None:
        """Spend a refresh token: the next use of it is `refresh_token_reused`."""
        self._refresh[token].state = RefreshState.USED

    def revoke(self, token: str) -> None:
        """Honour a token of either kind no longer (RFC 7009); an unknown one is no error."""
        if token in self._refresh:
            self._refresh[token].state = RefreshState.INVALIDATED
        else:
            self.reject(token)
