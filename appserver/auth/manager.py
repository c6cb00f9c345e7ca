"""The sole owner of the credential in use: who is signed in, since when, and when that is renewed.

Each credential it hands out carries a generation. A caller whose request was refused reports the one it used; if that
is not the current one any more, somebody else has already got a new one. Knows neither HTTP nor JSON-RPC. A plain
method never waits, so between two awaits the state is whole without a lock. Where it would have to wait for another
process, or for the keyring, it raises StoreBusy and has done nothing; `attempt` and `apply` call it again, in order.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.auth.credentials import ExternalTokens, Held, ManagedTokens, PersonalToken
from appserver.auth.refresh.base import NO_REFRESH_TOKEN, RefreshRequest, checked, renewed
from appserver.auth.refresh.redemption import Redeemer
from appserver.auth.refresh.single_flight import SingleFlight
from appserver.auth.stores.refused_tokens import DeadTokens
from appserver.auth.stores.snapshot import Stored
from appserver.errors import AuthError, NotSignedIn, RefreshError, StoreBusy
from appserver.lock_queue import LockQueue
from appserver.log import HiddenSecrets, warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from appserver.auth.credentials import ChatgptTokens, Credential
    from appserver.auth.refresh.base import RefreshedTokens, Refresher
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings
    from appserver.tasks import Tasks
    from protocol.base import Secret

T = TypeVar("T")

EXTERNAL_IS_ACTIVE = (
    "External auth is active. Use account/login/start (chatgptAuthTokens) to update it or account/logout to clear it."
)
"""The reference's words: only the client that owns the tokens in use may end their use."""

CHANGE_SECONDS = 6.0
"""What a look at the account or a change of it waits for another process that changes it too, which takes milliseconds,
or for the keyring, which gets a little less (`os_keyring.ANSWER_SECONDS`)."""

STORE_SECONDS = 2.0
"""What storing renewed tokens waits for another process. A turn waits for it, and the journal has them already."""

RETRY_SECONDS = 0.025
"""Between two tries: each opens the lock file."""

REFRESHER_SECONDS = 300.0
"""What a refresher may take that has no bound of its own. Turns wait for it."""


class AuthManager:
    """Holds the credential, adopts what another process stored, and renews it when it must."""

    def __init__(
        self,
        settings: Settings,
        store: CredentialStore,
        tasks: Tasks,
        refresher_for: Callable[[ChatgptTokens], Refresher],
        clock: Callable[[], float] = time.time,
        identify: Callable[[Secret], Awaitable[PersonalToken]] | None = None,
    ) -> None:
        """`identify`: finds out whose a personal access token is that another program has stored."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when the account changes without a request that asked for it."""
        self.on_orphan: Callable[[ManagedTokens], None] = lambda _: None
        """Called with what was redeemed for a login that has meanwhile been ended everywhere, to be revoked."""
        self._settings = settings
        self._stored = Stored(settings, store)
        self._refresher_for = refresher_for
        self._clock = clock
        self._identify = identify
        home = None if settings.credentials_store == "ephemeral" else settings.home
        self._dead = DeadTokens(home, store.version)
        self._queue = LockQueue(CHANGE_SECONDS, RETRY_SECONDS)
        self._storing = LockQueue(STORE_SECONDS, RETRY_SECONDS)
        self._redeemer = Redeemer(settings, store, self._dead, self.timestamp, self._storing)
        self._hidden = HiddenSecrets()
        self._held: Held | None = None
        self._generation = 0
        self._flight = SingleFlight(tasks, self._refresh)
        self._tried_early: Credential | None = None
        self._beyond_our_clock: Credential | None = None

    def attempt(self, use: Callable[[], T]) -> T | Coroutine[Any, Any, T]:
        """Return what a use of these methods returns, or a coroutine of it if it has to wait."""
        return self._queue.attempt(use)

    async def apply(self, use: Callable[[], T]) -> T:
        """Return what a use of these methods returns, once it is possible. Raises StoreBusy if that takes too long."""
        return await self._queue.apply(use, shield=False)

    def stop_waiting(self) -> None:
        """Let nothing wait any longer for another process or the keyring: what does raises StoreBusy."""
        self._queue.close()
        self._storing.close()

    def check_turn(self) -> None:
        """Raise StoreBusy if an earlier use waits, so that this one must wait behind it."""
        if self._queue.reserved:
            raise StoreBusy("an earlier request waits for another process, or for the keyring")

    def current(self) -> Held | None:
        """Return the credential in use, after a look at the store, or None when nobody is signed in.

        Unlike `known`, it minds nothing that waits, and returns what it knows.
        """
        with suppress(StoreBusy):
            self._look()
        return self._held

    def known(self) -> Held | None:
        """Return the credential in use, after a look at the store, or None when nobody is signed in.

        Raises StoreBusy.
        """
        self.check_turn()
        self._look()
        return self._held

    @property
    def external(self) -> bool:
        """Whether the client's own tokens are in use."""
        return self._held is not None and self._held.credential.is_external

    def check_not_external(self) -> None:
        """Raise AuthError if the client's own tokens are in use, which no other login may replace."""
        if self.external:
            raise AuthError(EXTERNAL_IS_ACTIVE)

    @property
    def problem(self) -> str | None:
        """Why what is stored cannot be used, for a person to read, or None."""
        return self._stored.problem

    @property
    def needs_login(self) -> str | None:
        """Why the user has to sign in again, or None."""
        held = self.current()
        if held is None:
            return self.problem
        if token := held.credential.refresh_token:
            return self._dead.reason(token)
        has_ended = self.expires_within(held.credential, 0) and not held.credential.is_renewable
        return NO_REFRESH_TOKEN if has_ended else None

    def sign_in(self, credential: Credential) -> None:
        """Use a credential from now on, and store it unless it is the client's.

        Raises StoreError, StoreBusy, and AuthError where the client's tokens are in use and this is no other such
        token; then nothing has changed.
        """
        self.check_turn()
        if not credential.is_external:
            self.check_not_external()
            self._stored.save(credential)
            self._dead.forget()
        self._hold(credential)

    def sign_out(self, *, everywhere: bool = False) -> list[Credential]:
        """Forget the credential in use and the stored one, and return them. A refresh under way brings neither back.

        `everywhere`: what the caller gets is to be revoked; what a refresh under way brings, `on_orphan` gets. The
        client's tokens may hide a login that is stored: it goes, too, or a restart would sign the user in again. Raises
        StoreError, StoreBusy; then nothing has changed.
        """
        held, successor = self.known(), self._redeemer.unfinished()
        delete = self._stored.try_to_delete if self.external else self._stored.delete
        stored = delete(everywhere=everywhere)  # which may be newer than what was read before
        self._hold(None)
        ended: list[Credential] = []
        for credential in (held and held.credential, stored, successor):
            if credential is not None and credential not in ended:
                ended.append(credential)
        return ended

    async def fresh(self) -> Held | None:
        """Return the credential to use now. One that is about to expire is renewed first."""
        held = await self.apply(self.known)
        if held is None or not self._due(held.credential):
            return held
        self._tried_early = held.credential
        try:
            fresh = await self.renew(held.generation)
        except AuthError:
            if self._held is not held or self._is_over(held.credential):
                raise
            return held
        if self.expires_within(fresh.credential, 0):
            self._tried_early = self._beyond_our_clock = fresh.credential
        return fresh

    async def renew(self, refused: int) -> Held:
        """Return a credential in place of the refused generation. Any number of callers cause one refresh.

        Raises RefreshError, or NotSignedIn after a logout.
        """
        held = await self.apply(self.known)
        if held is None:
            raise NotSignedIn("Signed out")
        if held.generation != refused and not self._is_over(held.credential):
            return held
        if not held.credential.is_renewable and held.credential.is_identified:
            raise RefreshError(_not_renewable(held.credential), permanent=True)
        await self._flight.join(held)
        if self._held is None:
            raise NotSignedIn(self.problem or "Signed out during the refresh")
        return self._held

    async def settle(self) -> None:
        """Wait until no refresh is under way, and try once more to store what could not be stored."""
        await self._flight.landed()
        await self._store_again()

    async def make_up(self) -> None:
        """Store what could not be stored, by us or by a process that has died before it could."""
        with suppress(StoreBusy):  # the next time, then
            if await self._store_again() and self._redeemer.has_left_over:
                await self._redeemer.finish()

    def expires_within(self, credential: Credential, seconds: float) -> bool:
        """Whether a credential says that it expires within so many seconds."""
        expires_at = credential.expires_at
        return expires_at is not None and expires_at - self._clock() <= seconds

    def timestamp(self) -> str:
        """Return the time as auth.json's last_refresh has it (RFC 3339)."""
        return datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z")

    # Refreshing

    async def _refresh(self, held: Held) -> None:
        if self._held is not held:
            return  # it ended before its refresh could begin, which would bring it back
        old = held.credential
        self._hidden.hide(*old.secrets)
        if not old.is_identified:
            await self._find_owner(held, old.bearer)
            return
        assert isinstance(old, ManagedTokens | ExternalTokens)  # noqa: S101 - renew() has refused the other kinds
        refresher = self._refresher_for(old)
        request = RefreshRequest(old, late=lambda tokens: self._take_late(held, tokens))
        if old.is_external:
            self._take(held, await self._asked(refresher, request))
            return
        redeemed = await self._redeemer.redeem(refresher, request, self._stored.credential)
        if redeemed.orphan is not None:
            self.on_orphan(redeemed.orphan)
        if self._held is not held:
            return  # the next look finds out what is stored: what is held now has nothing to do with it
        self._stored.remember(redeemed.stored)
        if redeemed.credential != redeemed.stored:
            warn("renewed credentials could not be stored; they are used, and storing them is tried again")
        self._replace(held, self._stored.usable(redeemed.credential))

    async def _find_owner(self, held: Held, token: Secret) -> None:
        """Find out whose a personal access token is, and note it beside the token."""
        if self._identify is None:
            raise RefreshError("It is not known whose the personal access token is", permanent=True)
        credential = await self._identify(token)
        if not await self._stored_beside(held, credential):
            warn("whose the personal access token is could not be stored; it is asked again by the next process")
        self._replace(held, self._stored.usable(credential))

    async def _stored_beside(self, held: Held, credential: PersonalToken) -> bool:
        """Store a credential in place of the one held, unless that was replaced meanwhile. Return whether it worked."""

        def store() -> bool:
            return self._held is not held or self._stored.save_again(credential)

        try:
            return await self._storing.apply(store)
        except StoreBusy:
            return False

    async def _asked(self, refresher: Refresher, request: RefreshRequest) -> RefreshedTokens:
        """Ask a refresher that may be anybody's. One that redeems is not cut off like this, or the answer were lost."""
        from anyio import move_on_after

        patience = max(REFRESHER_SECONDS, self._settings.refresh_timeout)
        with move_on_after(patience):
            return checked(await refresher.refresh(request))
        raise RefreshError(f"The refresher did not answer within {patience:g}s")

    def _take(self, held: Held, tokens: RefreshedTokens) -> None:
        """Put the client's renewed tokens in place of the ones they are for. Raises AuthError if they are no good."""
        old = held.credential
        assert isinstance(old, ExternalTokens)  # noqa: S101 - the other kind goes through the redeemer
        self._replace(held, renewed(self._settings, old, tokens, refreshed_at=""))

    def _take_late(self, held: Held, tokens: RefreshedTokens) -> None:
        """Keep an answer that came too late for who asked; whoever has asked again meanwhile gets it, too."""
        if self._held is held and held.credential.is_external:
            self._take(held, tokens)

    def _replace(self, held: Held, credential: Credential | None) -> None:
        """Hold a renewed credential, unless a login or logout has happened meanwhile: then that counts."""
        if self._held is not held:
            return
        self._hold(credential)
        if credential is None or held.credential.identity != credential.identity:
            self.on_change()

    # The store

    def _look(self) -> None:
        """Take over what another process, or an earlier run, has stored. External tokens are not touched by it."""
        if self.external:
            return
        is_news = not self._stored.never_read
        if self._stored.has_changed():
            old = self._held.credential if self._held else None
            new = self._stored.usable(self._stored.credential)
            self._hold(new)
            if is_news and old != new and (old is None or new is None or old.identity != new.identity):
                self.on_change()

    async def _store_again(self) -> bool:
        """Store renewed tokens whose storing failed, and say whether there is nothing more to store."""
        try:
            return await self._storing.apply(self._store_now)
        except StoreBusy:
            return False

    def _store_now(self) -> bool:
        credential = self._held.credential if self._held else None
        if credential is None or credential.refresh_token is None or credential == self._stored.credential:
            return True
        return self._stored.save_again(credential)

    def _hold(self, credential: Credential | None) -> None:
        self._generation += 1
        if credential is not None:
            self._hidden.hide(*credential.secrets)
        self._held = Held(credential, self._generation) if credential else None
        self._flight.overtake()

    # Expiry

    def _due(self, credential: Credential) -> bool:
        """Whether to renew before use: tried once per credential, so that a failure does not delay every turn."""
        tried = credential is self._tried_early
        if tried or not credential.is_renewable:
            return self._is_over(credential)
        return self.expires_within(credential, self._settings.refresh_skew)

    def _is_over(self, credential: Credential) -> bool:
        """Whether a credential cannot be used as it is: its time is over, or nobody knows whose it is.

        What comes expired from a renewal shows that our clock is wrong; only the backend can tell then.
        """
        if not credential.is_identified:
            return True
        return credential is not self._beyond_our_clock and self.expires_within(credential, 0)


def _not_renewable(credential: Credential) -> str:
    return NO_REFRESH_TOKEN if credential.mode == "chatgpt" else f"The {credential.name} is not accepted"
