"""One redemption of a refresh token, so that no other process redeems the same one and the answer is not lost.

Under the store's lock: look again at what is stored and take over what a sibling has put there; go on from where one
died; do not redeem what is known to be dead, nor what could not be stored; redeem, and write the answer down before
anything else; store it in place of exactly the credential that was redeemed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.auth.credentials import ManagedTokens
from appserver.auth.refresh.base import RefreshedTokens, checked, renewed, renewed_managed
from appserver.auth.stores.refused_tokens import fingerprint
from appserver.errors import AuthError, RefreshError, StoreBusy, StoreChangedError, StoreError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential
    from appserver.auth.refresh.base import Refresher, RefreshRequest
    from appserver.auth.stores.base import CredentialStore, RedemptionJournal
    from appserver.auth.stores.refused_tokens import DeadTokens
    from appserver.lock_queue import LockQueue
    from appserver.settings import Settings


REDEMPTION_SECONDS = 60.0
"""What a redemption may take that has begun, also while the process ends. The requests' own bound is shorter."""

_TOKENS = ("access_token", "id_token", "refresh_token")


class Redeemed(NamedTuple):
    """What is to be used from now on (None: another process has signed out), and what stands in the store."""

    credential: Credential | None
    stored: Credential | None
    orphan: ManagedTokens | None = None
    """What was redeemed for a login that has meanwhile been ended everywhere."""


class Redeemer:
    """Redeems refresh tokens against one store."""

    def __init__(
        self,
        settings: Settings,
        store: CredentialStore,
        dead: DeadTokens,
        timestamp: Callable[[], str],
        queue: LockQueue,
    ) -> None:
        """`queue`: what a use of the store waits in that meets another process's."""
        self._queue = queue
        self._settings = settings
        self._store = store
        self._dead = dead
        self._timestamp = timestamp

    async def redeem(self, refresher: Refresher, request: RefreshRequest, expected: Credential | None) -> Redeemed:
        """Redeem the request's refresh token, or adopt what another process has stored in place of `expected`.

        Raises RefreshError; if the new tokens could not be stored, they are returned all the same.
        """
        old = request.credential
        assert isinstance(old, ManagedTokens)  # noqa: S101 - no other kind is redeemed
        try:
            async with self._store.redeeming():
                stored = await self._queue.apply(self._store.load)
                if stored != expected:
                    return Redeemed(stored, stored)
                if old != stored:  # renewed before, and not stored yet: one answer can be made up for, not two
                    await self._queue.apply(partial(self._store.swap, stored, old))
                journal = self._store.journal  # of here and now: a login may go to another place meanwhile
                tokens = await self._tokens(refresher, request, old, journal)
                return await self._stored(self._credential(old, tokens, journal), old, journal)
        except StoreChangedError:
            stored = await self._queue.apply(self._store.load)
            return Redeemed(stored, stored)
        except (StoreError, StoreBusy) as exc:
            raise RefreshError(f"The tokens were not refreshed: {exc.message}") from None

    @property
    def has_left_over(self) -> bool:
        """Whether there may be something to finish; cheap to ask for."""
        return self._store.journal.exists()

    def unfinished(self) -> ManagedTokens | None:
        """Return what a process has redeemed in place of what is stored, and died; None also if it cannot be read.

        Raises StoreBusy.
        """
        if not self.has_left_over:
            return None
        try:
            return self._unfinished(self._store.load())
        except StoreBusy:
            raise
        except AuthError:
            return None

    def _unfinished(self, stored: Credential | None) -> ManagedTokens | None:
        """As above. Raises AuthError for an answer of no use: whoever redeems next deals with it.

        This process's restrictions do not count: it may be a login that it does not use, and others do.
        """
        if not isinstance(stored, ManagedTokens) or stored.refresh_token is None:
            return None
        tokens = _tokens_for(stored.refresh_token, self._store.journal.read())
        return renewed_managed(stored, tokens, self._timestamp()) if tokens else None

    async def finish(self) -> None:
        """Store what a process has redeemed and died, or remove it if nobody can use it any more."""
        try:
            async with self._store.redeeming():
                stored = await self._queue.apply(self._store.load)
                new = self._unfinished(stored)
                if new is not None:
                    await self._queue.apply(partial(self._store.swap, stored, new))
                self._store.journal.remove()
        except AuthError:
            return  # the next redemption finds it

    async def _tokens(
        self, refresher: Refresher, request: RefreshRequest, old: ManagedTokens, journal: RedemptionJournal
    ) -> RefreshedTokens:
        spent = old.refresh_token
        if spent is not None:
            if tokens := _tokens_for(spent, journal.read()):
                return tokens
            if reason := self._dead.reason(spent):
                raise RefreshError(reason, permanent=True)
        try:
            await self._queue.apply(self._store.prove_writable)
        except (StoreError, StoreBusy) as exc:
            raise RefreshError(
                f"The tokens were not refreshed, because new ones could not be stored: {exc.message}"
            ) from None
        with journal.opened() as write:
            try:
                tokens = await _answer_of(refresher, request)
            except RefreshError as exc:
                if exc.permanent and spent is not None:
                    self._dead.remember(spent, exc.message)
                raise
            write(_record(spent, tokens))  # first of all: until it is written, a death loses the login
        return tokens

    def _credential(self, old: ManagedTokens, tokens: RefreshedTokens, journal: RedemptionJournal) -> ManagedTokens:
        try:
            new = renewed(self._settings, old, tokens, refreshed_at=self._timestamp())
        except RefreshError as exc:
            journal.remove()
            if tokens.refresh_token is None or old.refresh_token is None:
                raise
            self._dead.remember(old.refresh_token, exc.message)  # its successor is no good, and it is good only once
            raise RefreshError(exc.message, permanent=True) from None
        assert isinstance(new, ManagedTokens)  # noqa: S101 - renewed() keeps the kind
        return new

    async def _stored(self, new: ManagedTokens, old: ManagedTokens, journal: RedemptionJournal) -> Redeemed:
        try:
            await self._queue.apply(partial(self._store.swap, old, new))
        except StoreChangedError:
            # Somebody signed in, or out, while the issuer answered. That counts; these tokens are of the old login.
            journal.remove()
            stored = await self._queue.apply(self._store.load)
            ended = old.refresh_token is not None and self._store.has_ended(old.refresh_token)
            return Redeemed(stored, stored, orphan=new if ended else None)
        except (StoreError, StoreBusy):
            return Redeemed(new, old)
        return Redeemed(new, new)


async def _answer_of(refresher: Refresher, request: RefreshRequest) -> RefreshedTokens:
    """Ask, and take the answer even if the process is told to end: it comes only once."""
    from anyio import move_on_after  # late: `server/startup.py` needs this module before there is a loop

    with move_on_after(REDEMPTION_SECONDS, shield=True):
        return checked(await refresher.refresh(request))
    raise RefreshError(f"The issuer did not answer within {REDEMPTION_SECONDS:g}s")


def _record(spent: Secret | None, tokens: RefreshedTokens) -> dict[str, Any]:
    """Return what the journal keeps of an answer: the tokens, and for which one they were given."""
    return {
        "redeemed_sha256": fingerprint(spent) if spent else None,
        **{name: _revealed(getattr(tokens, name)) for name in _TOKENS},
        "account_id": tokens.account_id,
    }


def _tokens_for(spent: Secret, record: dict[str, Any] | None) -> RefreshedTokens | None:
    """Return the answer in a record, if it is the answer to this refresh token."""
    if record is None or record.get("redeemed_sha256") != fingerprint(spent):
        return None
    values = [record.get(name) for name in (*_TOKENS, "account_id")]
    if not any(values[:-1]) or not all(value is None or isinstance(value, str) for value in values):
        return None  # not written by us, or not by a version that this one knows
    access, identity, refresh = (Secret(value) if value else None for value in values[:-1])
    return RefreshedTokens(access, identity, refresh, values[-1])


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
