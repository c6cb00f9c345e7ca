"""One redemption of a refresh token, so that no other process redeems the same one and no response is lost.

Under the store's lock: read the store again and adopt what another process has stored; go on from the write-ahead
record of one that died; do not redeem a token that was refused for good, nor one whose successor could not be kept;
redeem, and persist the issuer's response before acting on it (write-ahead); store it in place of exactly the
credential that was redeemed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.auth.credentials import ManagedTokens
from appserver.auth.refresh.base import RefreshedTokens, checked, refreshed, refreshed_managed
from appserver.auth.stores.refused_tokens import fingerprint
from appserver.errors import AuthError, RefreshError, StoreBusy, StoreChangedError, StoreError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential
    from appserver.auth.refresh.base import Refresher, RefreshRequest
    from appserver.auth.stores.base import CredentialStore, Redemption
    from appserver.settings import Settings


REDEMPTION_SECONDS = 60.0
"""What a redemption may take that has begun, also while the process ends. The requests' own bound is shorter."""

_TOKENS = ("access_token", "id_token", "refresh_token")


class Redeemed(NamedTuple):
    """The credential to use from now on (None: another process has signed out), and the stored one."""

    credential: Credential | None
    stored: Credential | None
    orphan: ManagedTokens | None = None
    """What was redeemed for a login that has meanwhile been ended everywhere."""


class Redeemer:
    """Redeems refresh tokens against one store."""

    def __init__(self, settings: Settings, store: CredentialStore, timestamp: Callable[[], str]) -> None:
        self._settings = settings
        self._store = store
        self._timestamp = timestamp

    async def redeem(self, refresher: Refresher, request: RefreshRequest, expected: Credential | None) -> Redeemed:
        """Redeem the request's refresh token, or adopt what another process has stored in place of `expected`.

        Raises RefreshError; if the new tokens could not be stored, they are returned all the same.
        """
        old = request.credential
        assert isinstance(old, ManagedTokens)  # noqa: S101 - no other kind is redeemed
        try:
            async with self._store.redeeming() as redemption:
                stored, refusal = await self._store.load()
                if stored != expected:
                    return Redeemed(stored, stored)
                if old != stored:  # refreshed before, and not stored yet: one response can be lost, not two
                    await self._store.swap(stored, old)
                    refusal = None
                tokens = await self._tokens(refresher, request, refusal, redemption)
                new = await self._credential(old, tokens, redemption)
                return await self._store_new(new, old, redemption)
        except StoreChangedError:
            stored = (await self._store.load()).credential
            return Redeemed(stored, stored)
        except (StoreError, StoreBusy) as exc:
            raise RefreshError(f"The tokens were not refreshed: {exc.message}") from None

    async def unfinished(self) -> ManagedTokens | None:
        """Return what a process has redeemed in place of what is stored, and died; None also if it cannot be read.

        Raises StoreBusy.
        """
        if not self._store.has_record():
            return None
        try:
            return await self._unfinished((await self._store.load()).credential)
        except StoreBusy:
            raise
        except AuthError:
            return None

    async def finish(self) -> None:
        """Store what a process has redeemed and died, or remove it if no process can use it any more."""
        try:
            async with self._store.redeeming() as redemption:
                stored = (await self._store.load()).credential
                new = await self._unfinished(stored)
                if new is not None:
                    await self._store.swap(stored, new)
                await redemption.discard()
        except AuthError:
            return  # the next redemption finds it

    async def _unfinished(self, stored: Credential | None) -> ManagedTokens | None:
        """As above. Raises AuthError for a response of no use: the next redemption deals with it.

        This process's restrictions do not count: it may be a login that it does not use, and others do.
        """
        if not isinstance(stored, ManagedTokens) or stored.refresh_token is None:
            return None
        tokens = _tokens_for(stored.refresh_token, await self._store.record())
        return refreshed_managed(stored, tokens, self._timestamp()) if tokens else None

    async def _tokens(
        self, refresher: Refresher, request: RefreshRequest, refusal: str | None, redemption: Redemption
    ) -> RefreshedTokens:
        spent = request.credential.refresh_token
        if spent is not None and (tokens := _tokens_for(spent, await self._store.record())):
            return tokens
        if refusal is not None:
            raise RefreshError(refusal, permanent=True)
        try:
            await redemption.prepare()
        except (StoreError, StoreBusy) as exc:
            raise RefreshError(
                f"The tokens were not refreshed, because new ones could not be stored: {exc.message}"
            ) from None
        try:
            return await _respond(refresher, request, redemption)
        except RefreshError as exc:
            if exc.permanent and spent is not None:
                if (await self._store.load()).credential != request.credential:
                    raise StoreChangedError("another process has stored a credential during the redemption") from None
                await self._store.refuse(spent, exc.message)
            raise

    async def _credential(self, old: ManagedTokens, tokens: RefreshedTokens, redemption: Redemption) -> ManagedTokens:
        try:
            new = refreshed(self._settings, old, tokens, refreshed_at=self._timestamp())
        except RefreshError as exc:
            await redemption.discard()
            if tokens.refresh_token is None or old.refresh_token is None:
                raise
            await self._store.refuse(old.refresh_token, exc.message)  # it is spent, and its successor is no good
            raise RefreshError(exc.message, permanent=True) from None
        assert isinstance(new, ManagedTokens)  # noqa: S101 - refreshed() keeps the kind
        return new

    async def _store_new(self, new: ManagedTokens, old: ManagedTokens, redemption: Redemption) -> Redeemed:
        from anyio import CancelScope  # late: `server/startup.py` needs this module before there is a loop

        try:
            with CancelScope(shield=True):  # for STORE_SECONDS at most: the response came only once
                await self._store.swap(old, new)
        except StoreChangedError:
            # A user signed in, or out, while the issuer was asked. That counts; these tokens are of the old login.
            await redemption.discard()
            stored = (await self._store.load()).credential
            ended = old.refresh_token is not None and await redemption.has_ended(old.refresh_token)
            return Redeemed(stored, stored, orphan=new if ended else None)
        except (StoreError, StoreBusy):
            return Redeemed(new, old)
        return Redeemed(new, new)


async def _respond(refresher: Refresher, request: RefreshRequest, redemption: Redemption) -> RefreshedTokens:
    """Ask, and persist the response before acting on it (write-ahead).

    Shielded from cancellation, also at the end of the process: a lost response would lose the login.
    """
    from anyio import move_on_after  # late, as above

    with move_on_after(REDEMPTION_SECONDS, shield=True):
        tokens = checked(await refresher.refresh(request))
        await redemption.write(_record(request.credential, tokens))
        return tokens
    raise RefreshError(f"The issuer did not answer within {REDEMPTION_SECONDS:g}s")


def _record(old: Credential, tokens: RefreshedTokens) -> dict[str, Any]:
    """Return the write-ahead record of a response: the tokens, and for which one they were given."""
    spent = old.refresh_token
    return {
        "redeemed_sha256": fingerprint(spent) if spent else None,
        **{name: _revealed(getattr(tokens, name)) for name in _TOKENS},
        "account_id": tokens.account_id,
    }


def _tokens_for(spent: Secret, record: dict[str, Any] | None) -> RefreshedTokens | None:
    """Return the response in a record, if this refresh token was redeemed for it."""
    if record is None or record.get("redeemed_sha256") != fingerprint(spent):
        return None
    values = [record.get(name) for name in (*_TOKENS, "account_id")]
    if not any(values[:-1]) or not all(value is None or isinstance(value, str) for value in values):
        return None  # not written by us, or not by a version that this one knows
    access, identity, refresh = (Secret(value) if value else None for value in values[:-1])
    return RefreshedTokens(access, identity, refresh, values[-1])


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
