"""When a credential is to be refreshed: before use, or because it cannot be used any more.

Remembers what was tried, so that neither a failure nor a clock that is wrong makes every turn refresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential


class Expiry:
    """The expiry of the credentials of one account."""

    def __init__(self, refresh_skew: float, clock: Callable[[], float]) -> None:
        """`refresh_skew`: how many seconds before its expiry a credential is refreshed."""
        self._refresh_skew = refresh_skew
        self._clock = clock
        self._tried: Credential | None = None
        self._beyond_our_clock: Credential | None = None

    def within(self, credential: Credential, seconds: float) -> bool:
        """Whether a credential says that it expires within so many seconds."""
        expires_at = credential.expires_at
        return expires_at is not None and expires_at - self._clock() <= seconds

    def is_due(self, credential: Credential) -> bool:
        """Whether to refresh before use: tried once per credential, so that a failure does not delay every turn."""
        if credential is self._tried or not credential.is_renewable:
            return self.is_over(credential)
        return self.within(credential, self._refresh_skew)

    def is_over(self, credential: Credential) -> bool:
        """Whether a credential cannot be used as it is: its time is over, or it is not known whose it is."""
        if not credential.is_identified:
            return True
        return credential is not self._beyond_our_clock and self.within(credential, 0)

    def try_once(self, credential: Credential) -> None:
        """Note that a credential is being refreshed before use."""
        self._tried = credential

    def accept(self, refreshed: Credential) -> None:
        """Note what a refresh has brought. If it comes expired, our clock is wrong: only the backend can tell then."""
        if self.within(refreshed, 0):
            self._tried = self._beyond_our_clock = refreshed
