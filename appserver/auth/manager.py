"""The sole owner of the credential in use: who is signed in, since when, and when that is refreshed.

Each credential it hands out carries a generation. A caller whose request was refused reports the one it used; if that
is not the current one any more, there is a new credential already. Knows neither HTTP nor JSON-RPC.

What is plain here reads memory and never waits. Whatever reads or changes the store is in one order (`in_order.py`),
because a look at the store, a login and a logout each take several steps that must not mix; between two awaits the
state is whole. A redemption has no place in that order: it may wait for the issuer. Only what it brings has one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from appserver.auth.credentials import ExternalTokens, Held, ManagedTokens, PersonalToken
from appserver.auth.expiry import Expiry
from appserver.auth.in_order import InOrder
from appserver.auth.refresh.base import NO_REFRESH_TOKEN, RefreshRequest, checked, refreshed
from appserver.auth.refresh.redemption import Redeemer
from appserver.auth.refresh.single_flight import SingleFlight
from appserver.auth.stores.base import CHANGE_SECONDS
from appserver.auth.stores.snapshot import Snapshot
from appserver.errors import AuthError, NotSignedIn, RefreshError, StoreBusy
from appserver.log import HiddenSecrets, warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from appserver.auth.credentials import ChatgptTokens, Credential, Identity
    from appserver.auth.refresh.base import RefreshedTokens, Refresher
    from appserver.auth.refresh.redemption import Redeemed
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings
    from appserver.tasks import Tasks
    from protocol.base import Secret

T = TypeVar("T")

EXTERNAL_IS_ACTIVE = (
    "External auth is active. Use account/login/start (chatgptAuthTokens) to update it or account/logout to clear it."
)
"""The reference's words: only the client that owns the tokens in use may end their use."""

REFRESHER_SECONDS = 300.0
"""What a refresher may take that has no bound of its own. Turns wait for it."""


class AuthManager:
    """Holds the credential, adopts what another process stored, and refreshes it when it must."""

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
        self._store = store
        self._tasks = tasks
        self._snapshot = Snapshot(settings, store)
        self._refresher_for = refresher_for
        self._clock = clock
        self.expiry = Expiry(settings.refresh_skew, clock)
        self._identify = identify
        self._order = InOrder()
        self._redeemer = Redeemer(settings, store, self.timestamp)
        self._hidden = HiddenSecrets()
        self.identity: Identity | None = None
        """Whose credential is in use, None when no user is signed in."""
        self.external = False
        """Whether the client's own tokens are in use."""
        self._held: Held | None = None
        self._ends_at: float | None = None
        """When the credential ends for good, in Unix seconds, as far as it says so and cannot be refreshed."""
        self._generation = 0
        self._refreshes = SingleFlight(tasks, self._refresh)

    # Who is signed in

    def current(self) -> Held | None:
        """Return the credential in use as far as this process knows, or None when no user is signed in."""
        return self._held

    def has_news(self) -> bool:
        """Whether the store may hold another credential than the one known here. Never waits."""
        return not self.external and self._store.version() != self._snapshot.version

    async def look(self) -> Held | None:
        """Take over what another process, or an earlier run, has stored; return the credential in use."""
        if self._order.uses or self.has_news():
            await self.in_order(self._take_over_news)
        return self._held

    def when_current(self, answer: Callable[[], T]) -> T | Awaitable[Any]:
        """Return what `answer` returns, or a coroutine of it: if there is news, or uses of the account that wait.

        The first look is made in place before the event loop runs: nothing else is there to be held up.
        """
        if not self._order.uses:
            if self.external or self._store.version() == self._snapshot.version:
                return answer()
            if self._snapshot.never_read and not self._tasks.running and self._read_in_place():
                return answer()
        return self.in_order(partial(self._take_over_and, answer))

    def when_free(self, use: Callable[[], T]) -> T | Awaitable[Any]:
        """Return what `use` returns, or a coroutine of it: if uses of the account wait."""

        async def later() -> T:
            return use()

        return self.in_order(later) if self._order.uses else use()

    def in_order(self, act: Callable[[], Awaitable[T | Awaitable[T]]]) -> Coroutine[Any, Any, T]:
        """Return a coroutine of `act`, which has its place among the uses of the account from now on.

        It must be awaited or closed. Where `act` returns an awaitable, that is awaited outside the order. Raises
        StoreBusy where an earlier use takes too long.
        """
        return self._order.use(act, CHANGE_SECONDS)

    def stop_waiting(self) -> None:
        """Let nothing wait any longer for another process or the keyring: it raises StoreBusy instead."""
        self._store.stop_waiting()

    def check_not_external(self) -> None:
        """Raise AuthError if the client's own tokens are in use, which no other login may replace."""
        if self.external:
            raise AuthError(EXTERNAL_IS_ACTIVE)

    @property
    def problem(self) -> str | None:
        """Why what is stored cannot be used, for a person to read, or None."""
        return self._snapshot.problem

    @property
    def needs_login(self) -> str | None:
        """Why the user has to sign in again, or None."""
        if self._held is None:
            return self._snapshot.problem
        if self._ends_at is not None and self._ends_at <= self._clock():
            return NO_REFRESH_TOKEN
        return self._snapshot.refusal if self._held.credential == self._snapshot.credential else None

    async def sign_in(self, credential: Credential) -> None:
        """Use a credential from now on, and store it unless it is the client's. To be called in order.

        Raises StoreError, StoreBusy, and AuthError where the client's tokens are in use and this is no other such
        token; then nothing has changed.
        """
        if not credential.is_external:
            self.check_not_external()
            await self._snapshot.save(credential)
        self._hold(credential)

    def use_external(self, credential: ExternalTokens) -> None:
        """Use the client's tokens from now on. To be called in order. They are not stored, so this does not wait."""
        self._hold(credential)

    async def sign_out(self, *, everywhere: bool = False) -> list[Credential]:
        """Forget the credential in use and the stored one, and return them. To be called in order.

        A refresh under way brings neither back. `everywhere`: what the caller gets is to be revoked; what a refresh
        under way brings, `on_orphan` gets. The client's tokens may hide a login that is stored: it goes, too, or a
        restart would sign the user in again. Raises StoreError, StoreBusy; then nothing has changed.
        """
        await self._take_over_news()
        held, successor = self._held, await self._redeemer.unfinished()
        delete = self._snapshot.try_to_delete if self.external else self._snapshot.delete
        stored = await delete(everywhere=everywhere)  # which may be newer than what was read before
        self._hold(None)
        ended: list[Credential] = []
        for credential in (held and held.credential, stored, successor):
            if credential is not None and credential not in ended:
                ended.append(credential)
        return ended

    # Using it

    async def for_request(self) -> Held | None:
        """Return the credential to use now. One that is about to expire is refreshed first."""
        held = await self.look()
        if held is None or not self.expiry.is_due(held.credential):
            return held
        self.expiry.try_once(held.credential)
        try:
            new = await self.refresh(held.generation)
        except AuthError:
            if self._held is not held or self.expiry.is_over(held.credential):
                raise
            return held
        self.expiry.accept(new.credential)
        return new

    async def refresh(self, refused: int) -> Held:
        """Return a credential in place of the refused generation. Any number of callers cause one refresh.

        Raises RefreshError, or NotSignedIn after a logout.
        """
        held = await self.look()
        if held is None:
            raise NotSignedIn("Signed out")
        if held.generation != refused and not self.expiry.is_over(held.credential):
            return held
        if not held.credential.is_renewable and held.credential.is_identified:
            raise RefreshError(_not_renewable(held.credential), permanent=True)
        await self._refreshes.join(held)
        if self._held is None:
            raise NotSignedIn(self.problem or "Signed out during the refresh")
        return self._held

    async def wind_down(self) -> None:
        """Wait until no refresh is under way, and try once more to store what could not be stored."""
        await self._refreshes.idle()
        await self._store_again()

    async def store_unsaved(self) -> None:
        """Store what could not be stored, by us or by a process that has died before it could."""
        with suppress(StoreBusy):  # the next time, then
            if await self._store_again() and self._store.has_record():
                await self._redeemer.finish()

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
        assert isinstance(old, ManagedTokens | ExternalTokens)  # noqa: S101 - refresh() has refused the other kinds
        refresher = self._refresher_for(old)
        request = RefreshRequest(old, late=lambda tokens: self._take_late(held, tokens))
        if old.is_external:
            tokens = await self._asked(refresher, request)
            await self._order.use(partial(self._take_refreshed, held, tokens))
            return
        redeemed = await self._redeemer.redeem(refresher, request, self._snapshot.credential)
        if redeemed.orphan is not None:
            self.on_orphan(redeemed.orphan)
        await self._order.use(partial(self._take_redeemed, held, redeemed))

    async def _take_redeemed(self, held: Held, redeemed: Redeemed) -> None:
        if self._held is not held:
            return  # the next look finds out what is stored: what is held now has nothing to do with it
        self._snapshot.remember(redeemed.stored)
        if redeemed.credential != redeemed.stored:
            warn("refreshed credentials could not be stored; they are used, and storing them is tried again")
        self._replace(held, self._snapshot.usable(redeemed.credential))

    async def _find_owner(self, held: Held, token: Secret) -> None:
        """Find out whose a personal access token is, and note it beside the token."""
        if self._identify is None:
            raise RefreshError("It is not known whose the personal access token is", permanent=True)
        credential = await self._identify(token)
        await self._order.use(partial(self._take_owner, held, credential))

    async def _take_owner(self, held: Held, credential: PersonalToken) -> None:
        if self._held is not held:
            return
        if not await self._saved_again(credential):
            warn("whose the personal access token is could not be stored; it is asked again by the next process")
        self._replace(held, self._snapshot.usable(credential))

    async def _asked(self, refresher: Refresher, request: RefreshRequest) -> RefreshedTokens:
        """Ask a refresher, which may be foreign. Not for redemption: a lost response would lose the login."""
        from anyio import move_on_after

        patience = max(REFRESHER_SECONDS, self._settings.refresh_timeout)
        with move_on_after(patience):
            return checked(await refresher.refresh(request))
        raise RefreshError(f"The refresher did not answer within {patience:g}s")

    async def _take_refreshed(self, held: Held, tokens: RefreshedTokens) -> None:
        self._take(held, tokens)

    def _take(self, held: Held, tokens: RefreshedTokens) -> None:
        """Put the client's new tokens in place of the ones they are for. Raises AuthError if they are no good."""
        old = held.credential
        assert isinstance(old, ExternalTokens)  # noqa: S101 - the other kind goes through the redeemer
        self._replace(held, refreshed(self._settings, old, tokens, refreshed_at=""))

    def _take_late(self, held: Held, tokens: RefreshedTokens) -> None:
        """Keep an answer that came too late for its caller; one that has asked again meanwhile gets it, too."""
        if self._held is held and held.credential.is_external:
            self._take(held, tokens)

    def _replace(self, held: Held, credential: Credential | None) -> None:
        """Hold a refreshed credential, unless a login or logout has happened meanwhile: then that counts."""
        if self._held is not held:
            return
        self._hold(credential)
        if credential is None or held.credential.identity != credential.identity:
            self.on_change()

    # The store. What follows is called in order

    async def _take_over_news(self) -> None:
        """Take over what another process, or an earlier run, has stored. External tokens are not touched by it."""
        if not self.external:
            is_first = self._snapshot.never_read
            if await self._snapshot.read():
                self._adopt(is_first)

    def _read_in_place(self) -> bool:
        try:
            has_changed = self._snapshot.read_in_place()
        except StoreBusy:
            return False
        if has_changed:
            self._adopt(is_first=True)
        return True

    async def _take_over_and(self, answer: Callable[[], T]) -> T:
        await self._take_over_news()
        return answer()

    def _adopt(self, is_first: bool) -> None:
        """Use the stored credential. What the first look finds is not told: an earlier run stored it."""
        old = self._held.credential if self._held else None
        new = self._snapshot.usable(self._snapshot.credential)
        self._hold(new)
        if not is_first and (old and old.identity) != (new and new.identity):
            self.on_change()

    async def _store_again(self) -> bool:
        """Store refreshed tokens whose storing failed, and return whether there is nothing more to store."""
        return not self._is_unsaved() or await self._order.use(self._save_held)

    async def _save_held(self) -> bool:
        held = self._held
        return held is None or not self._is_unsaved() or await self._saved_again(held.credential)

    def _is_unsaved(self) -> bool:
        credential = self._held.credential if self._held else None
        return bool(credential and credential.refresh_token and credential != self._snapshot.credential)

    async def _saved_again(self, credential: Credential) -> bool:
        try:
            return await self._snapshot.save_again(credential)
        except StoreBusy:
            return False

    def _hold(self, credential: Credential | None) -> None:
        self._generation += 1
        self._held = self.identity = self._ends_at = None
        self.external = False
        if credential is not None:
            self._hidden.hide(*credential.secrets)
            self._held = Held(credential, self._generation)
            self.identity = credential.identity
            self.external = credential.is_external
            self._ends_at = None if credential.is_renewable else credential.expires_at
        self._refreshes.supersede()


def _not_renewable(credential: Credential) -> str:
    return NO_REFRESH_TOKEN if credential.mode == "chatgpt" else f"The {credential.name} is not accepted"
