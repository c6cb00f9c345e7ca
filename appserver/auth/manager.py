"""The sole owner of the credential in use: who is signed in, since when, and its one refresh at a time.

Each credential it hands out carries a generation. A caller whose request was refused reports the one it used; if that
is not the current one any more, somebody else has already got a new one. Knows neither HTTP nor JSON-RPC. A plain
method never waits, so between two awaits the state is whole without a lock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from appserver.auth.credentials import ApiKey, ExternalTokens, Held, ManagedTokens
from appserver.auth.refresher import RefreshRequest, renewed
from appserver.auth.restrictions import check_credential
from appserver.errors import AuthError, NotSignedIn, RefreshError, StoreError
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from anyio import Event

    from appserver.auth.credentials import ChatgptTokens, Credential
    from appserver.auth.refresher import RefreshedTokens, Refresher
    from appserver.auth.store import CredentialStore
    from appserver.settings import Settings
    from appserver.tasks import Tasks

_NEVER_READ = object()


@dataclass(slots=True)
class _Flight:
    """A refresh under way, and how it ended. Any number of callers wait for it."""

    held: Held
    landed: Event
    outcome: Held | Exception | None = None


class AuthManager:
    """Holds the credential, adopts what another process stored, and renews it when it must."""

    def __init__(
        self,
        settings: Settings,
        store: CredentialStore,
        tasks: Tasks,
        refresher_for: Callable[[ChatgptTokens], Refresher],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when the account changes without a request that asked for it."""
        self._settings = settings
        self._store = store
        self._tasks = tasks
        self._refresher_for = refresher_for
        self._clock = clock
        self._held: Held | None = None
        self._generation = 0
        self._stored_version: Hashable = _NEVER_READ
        self._flight: _Flight | None = None
        self._dead: tuple[Credential, RefreshError] | None = None
        self._tried_early: Credential | None = None

    def current(self) -> Held | None:
        """Return the credential in use, after a look at the store, or None when nobody is signed in."""
        self._adopt_stored()
        return self._held

    @property
    def external(self) -> bool:
        """Whether the parent's own tokens are in use."""
        return self._held is not None and isinstance(self._held.credential, ExternalTokens)

    def sign_in(self, credential: Credential) -> None:
        """Use a credential from now on, and store it unless it is the parent's.

        Raises StoreError; then nothing has changed.
        """
        if not isinstance(credential, ExternalTokens):
            self._store.save(credential)
            self._stored_version = self._store.version()
        self._hold(credential)

    def sign_out(self) -> Credential | None:
        """Forget the credential, here and in the store, and return it. A refresh under way will not bring it back."""
        held = self.current()
        if held is None or not isinstance(held.credential, ExternalTokens):
            self._store.delete()
            self._stored_version = self._store.version()
        self._hold(None)
        return held.credential if held else None

    async def fresh(self) -> Held | None:
        """Return the credential to use now. One that is about to expire is renewed first."""
        held = self.current()
        if held is None or not self._expires_soon(held.credential):
            return held
        self._tried_early = held.credential
        try:
            return await self.renew(held.generation)
        except AuthError:
            if self._expired(held.credential):
                raise
            return held

    async def renew(self, refused: int) -> Held:
        """Return a credential in place of the refused generation. Any number of callers cause one refresh.

        Raises RefreshError, or NotSignedIn after a logout.
        """
        held = self.current()
        if held is None:
            raise NotSignedIn("Signed out")
        if held.generation != refused:
            return held
        if isinstance(held.credential, ApiKey):
            raise RefreshError("The API key is not accepted", permanent=True)
        if self._dead and self._dead[0] == held.credential:
            raise self._dead[1]
        return await self._join_flight(held)

    async def settle(self) -> None:
        """Wait until no refresh is under way."""
        if self._flight is not None:
            await self._flight.landed.wait()

    async def _join_flight(self, held: Held) -> Held:
        from anyio import Event  # late: the porch needs this module before there is a loop

        flight = self._flight
        if flight is None or flight.held.generation != held.generation:
            flight = self._flight = _Flight(held, Event())
            # In a task of its own: a refresh token is redeemed only once, so the answer must be taken even if the
            # turn that asked for it is interrupted.
            self._tasks.start(self._fly, flight)
        await flight.landed.wait()
        if isinstance(flight.outcome, Held):
            return flight.outcome
        raise flight.outcome or RefreshError("The refresh was cut off by a shutdown")

    async def _fly(self, flight: _Flight) -> None:
        held = flight.held
        try:
            flight.outcome = await self._refreshed(held)
        except AuthError as exc:
            if isinstance(exc, RefreshError) and exc.permanent:
                self._dead = (held.credential, exc)
            flight.outcome = exc
        except Exception as exc:  # noqa: BLE001 - a foreign refresher may raise anything, and turns wait for the end
            from appserver.log import log_exception

            log_exception("a refresher failed unexpectedly", exc)
            flight.outcome = RefreshError("The refresh failed unexpectedly")
        finally:
            if self._flight is flight:
                self._flight = None
            flight.landed.set()

    async def _refreshed(self, held: Held) -> Held:
        old = held.credential
        assert not isinstance(old, ApiKey)  # noqa: S101 - renew() has refused it
        request = RefreshRequest(old, late=lambda tokens: self._take_late(held, tokens))
        tokens = await self._refresher_for(old).refresh(request)
        return self._take(held, tokens)

    def _take(self, held: Held, tokens: RefreshedTokens) -> Held:
        """Put renewed tokens in place of the ones they are for. Raises AuthError if they cannot be used."""
        old = held.credential
        assert not isinstance(old, ApiKey)  # noqa: S101 - an API key is never refreshed
        credential = renewed(self._settings, old, tokens, refreshed_at=self.timestamp())
        if self._held is None:
            raise NotSignedIn("Signed out during the refresh")
        if self._held.generation != held.generation:
            return self._held  # a login has happened meanwhile: it counts
        if isinstance(credential, ManagedTokens):
            self._store_renewed(credential)
        self._hold(credential)
        if _face(old) != _face(credential):
            self.on_change()
        return self._held

    def _take_late(self, held: Held, tokens: RefreshedTokens) -> None:
        """Keep an answer that nobody waits for any more: the next turn uses it."""
        if self._held is not None and self._held.generation == held.generation:
            self._take(held, tokens)

    def _store_renewed(self, credential: ManagedTokens) -> None:
        """Store renewed tokens. The old refresh token is spent, so they stay in use even if that fails."""
        try:
            self._store.save(credential)
            self._stored_version = self._store.version()
        except StoreError as exc:
            warn(f"renewed credentials could not be stored and live in memory only: {exc.message}")

    def _adopt_stored(self) -> None:
        """Take over what another process, or an earlier run, has stored. External tokens are not touched by it."""
        if self.external:
            return
        version = self._store.version()
        if version == self._stored_version:
            return
        first, self._stored_version = self._stored_version is _NEVER_READ, version
        credential = self._load()
        if credential != (self._held.credential if self._held else None):
            self._hold(credential)
            if not first:
                self.on_change()

    def _load(self) -> Credential | None:
        try:
            credential = self._store.load()
            if credential is not None:
                check_credential(self._settings, credential)
        except AuthError as exc:
            warn(f"the stored credential is not used: {exc.message}")
            return None
        return credential

    def _hold(self, credential: Credential | None) -> None:
        self._generation += 1
        self._held = Held(credential, self._generation) if credential else None

    def _expires_soon(self, credential: Credential) -> bool:
        """Whether to renew ahead of time: tried once per credential, so that a failure does not delay every turn."""
        expires_at = None if isinstance(credential, ApiKey) else credential.claims.expires_at
        if expires_at is None or credential is self._tried_early:
            return expires_at is not None and self._expired(credential)
        return expires_at - self._clock() < self._settings.refresh_skew

    def _expired(self, credential: Credential) -> bool:
        expires_at = None if isinstance(credential, ApiKey) else credential.claims.expires_at
        return expires_at is not None and expires_at <= self._clock()

    def timestamp(self) -> str:
        """Return the time as auth.json's last_refresh has it (RFC 3339)."""
        return datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z")


def _face(credential: Credential) -> tuple[object, ...]:
    """What account/updated tells of a credential."""
    return (credential.mode, None if isinstance(credential, ApiKey) else credential.claims.plan)
