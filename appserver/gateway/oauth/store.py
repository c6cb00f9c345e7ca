"""What the provider keeps: clients, sessions of people in their browsers, codes, and tokens. Secrets are hashed.

A code or a refresh token is redeemed in one transaction that has its row locked, so on whichever node it is used
again, it is seen to be used. What is used twice ends the grant that it belongs to.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from appserver.gateway.database.schema import attempts, clients, codes, credentials, grants, sessions, tokens, users
from appserver.gateway.hashes import hashed, new_secret
from appserver.gateway.oauth.request import Authorization, Client, OAuthError, scopes_asked, verifier_fits

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appserver.gateway.database.engine import Database
    from protocol.base import Secret

CODE_SECONDS = 60
ACCESS_SECONDS = 3600
REFRESH_SECONDS = 90 * 86_400
SESSION_SECONDS = 12 * 3600

ACCESS_PREFIX, REFRESH_PREFIX, CODE_PREFIX, SESSION_PREFIX = "sk-at-", "rt-gw-", "ac-gw-", "sess-"

FREE_FAILURES = {"name": 5, "address": 50}
"""Failed sign-ins before the next one has to wait; many people may share an address."""

MAX_WAIT_SECONDS = 900
FORGET_SECONDS = 86_400
"""After which failures are forgotten."""

_REFUSED = "The grant is not valid, or not any more"


class Session(NamedTuple):
    """A person who has signed in."""

    user_id: str
    name: str
    account: str | None
    """The model account."""


class Issued(NamedTuple):
    """What a grant brings."""

    access: Secret
    refresh: Secret
    scopes: str


class TokenOwner(NamedTuple):
    """Whom an access token stands for."""

    user_id: str
    grant_id: str
    scopes: frozenset[str]
    version: int


class OAuthStore:
    """Of one node."""

    def __init__(self, database: Database, grace_seconds: float) -> None:
        """`grace_seconds`: in which a refresh token may be used once more: the answer may have been lost."""
        self._database = database
        self._grace_seconds = grace_seconds
        self._owner_query = database.prepared(_owner_query(database), "hash")

    async def client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(clients).where(clients.c.id == client_id))).one_or_none()
        if row is None:
            return None
        return Client(row.id, row.name, row.secret_hash, tuple(row.scopes.split()), tuple(row.redirect_uris.split()))

    # Sessions

    async def begin_session(self, user_id: str) -> Secret:
        """Begin a session, and return what the browser shows from then on."""
        secret, now = new_secret(SESSION_PREFIX), self._database.now
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= now))
            values = {"hash": hashed(secret), "user_id": user_id, "expires_at": now + SESSION_SECONDS}
            await connection.execute(sa.insert(sessions).values(**values))
        return secret

    async def session(self, secret: Secret) -> Session | None:
        """Return who has signed in."""
        query = (
            sa.select(users.c.id, users.c.name, credentials.c.account_id)
            .select_from(sessions.join(users).outerjoin(credentials, credentials.c.user_id == users.c.id))
            .where(sessions.c.hash == hashed(secret), sessions.c.expires_at > self._database.now)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Session(row.id, row.name, row.account_id)

    # Guessing

    async def wait(self, name: str, address: str) -> int:
        """Return the seconds until the next try to sign in is allowed, for this name and from this address."""
        subjects = [_subject("name", name), _subject("address", address)]
        query = sa.select(sa.func.max(attempts.c.until) - self._database.now).where(attempts.c.subject.in_(subjects))
        async with self._database.reading() as connection:
            left = (await connection.execute(query)).scalar_one_or_none()
        return 0 if left is None else max(0, int(left) + (left > int(left)))

    async def note_failure(self, name: str, address: str) -> None:
        """Count a failed try."""
        async with self._database.writing() as connection:
            now = (await connection.execute(sa.select(self._database.now))).scalar_one()
            await connection.execute(sa.delete(attempts).where(attempts.c.until < now - FORGET_SECONDS))
            for kind, value in (("address", address), ("name", name)):
                row = self._database.insert(attempts).values(subject=_subject(kind, value), failures=1, until=now)
                counted = row.on_conflict_do_update(
                    index_elements=["subject"], set_={"failures": attempts.c.failures + 1}
                ).returning(attempts.c.failures)
                failures = (await connection.execute(counted)).scalar_one()
                beyond = failures - FREE_FAILURES[kind]
                wait = min(2.0 ** min(beyond, 20), MAX_WAIT_SECONDS) if beyond >= 0 else 0.0
                change = sa.update(attempts).where(attempts.c.subject == _subject(kind, value))
                await connection.execute(change.values(until=now + wait))

    async def forget_failures(self, name: str) -> None:
        """Forget a name's failed tries: its owner has signed in."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(attempts).where(attempts.c.subject == _subject("name", name)))

    # Codes and tokens

    async def add_code(self, user_id: str, asked: Authorization) -> Secret:
        """Return a code for what a person has allowed."""
        secret, now = new_secret(CODE_PREFIX), self._database.now
        values = {
            "hash": hashed(secret),
            "user_id": user_id,
            "client_id": asked.client_id,
            "redirect_uri": asked.redirect_uri,
            "redirect_uri_given": asked.redirect_uri_given,
            "scopes": " ".join(asked.scopes),
            "challenge": asked.challenge,
            "expires_at": now + CODE_SECONDS,
        }
        async with self._database.writing() as connection:
            # Kept for an hour more: one that comes again must be known.
            await connection.execute(sa.delete(codes).where(codes.c.expires_at <= now - ACCESS_SECONDS))
            await connection.execute(sa.insert(codes).values(**values))
        return secret

    async def redeem_code(self, client: Client, code: Secret, redirect_uri: str | None, verifier: str | None) -> Issued:
        """Return tokens for a code. Raises OAuthError."""
        async with self._database.writing() as connection:
            overdue = (codes.c.expires_at <= self._database.now).label("overdue")
            query = sa.select(codes, overdue).where(codes.c.hash == hashed(code)).with_for_update()
            row = (await connection.execute(query)).one_or_none()
            wrong_uri = row is not None and (
                redirect_uri != row.redirect_uri
                if row.redirect_uri_given
                else redirect_uri not in (None, row.redirect_uri)
            )
            if row is None or row.client_id != client.id or wrong_uri or not verifier_fits(row.challenge, verifier):
                raise OAuthError("invalid_grant", _REFUSED)
            issued = None
            if row.grant_id is not None:  # it was stolen, or its answer was: who has it now is not known
                await self._end_grant(connection, row.grant_id)
            elif not row.overdue:
                grant_id = uuid.uuid4().hex
                grant = {"id": grant_id, "user_id": row.user_id, "client_id": client.id, "scopes": row.scopes}
                await connection.execute(sa.insert(grants).values(**grant, created_at=self._database.now))
                await connection.execute(sa.update(codes).where(codes.c.hash == row.hash).values(grant_id=grant_id))
                issued = await self._issue(connection, grant_id, row.scopes)
        if issued is None:
            raise OAuthError("invalid_grant", _REFUSED)
        return issued

    async def redeem_refresh_token(self, client: Client, token: Secret, scope: str | None) -> Issued:
        """Return new tokens for a refresh token, which is good once. Raises OAuthError."""
        async with self._database.writing() as connection:
            now = self._database.now
            query = (
                sa.select(
                    tokens,
                    grants.c.client_id,
                    grants.c.scopes.label("granted"),
                    (tokens.c.expires_at <= now).label("overdue"),
                    sa.func.coalesce(tokens.c.rotated_at + self._grace_seconds < now, sa.false()).label("reused"),
                )
                .select_from(tokens.join(grants))
                .where(tokens.c.hash == hashed(token), tokens.c.kind == "refresh", grants.c.revoked_at.is_(None))
                .with_for_update(of=tokens)
            )
            row = (await connection.execute(query)).one_or_none()
            if row is None or row.client_id != client.id or row.overdue:
                raise OAuthError("invalid_grant", _REFUSED)
            issued = None
            if row.reused:
                await self._end_grant(connection, row.grant_id)
            else:
                scopes = scopes_asked(scope, row.granted.split())
                if scopes is None:
                    raise OAuthError("invalid_scope", "More is asked for than was granted")
                rotated = sa.update(tokens).where(tokens.c.hash == row.hash, tokens.c.rotated_at.is_(None))
                await connection.execute(rotated.values(rotated_at=now))
                issued = await self._issue(connection, row.grant_id, " ".join(scopes))
        if issued is None:
            raise OAuthError("invalid_grant", _REFUSED)
        return issued

    async def revoke(self, client: Client, token: Secret) -> None:
        """End a token: an access token alone, a refresh token with all of its grant. Another client's is left."""
        query = (
            sa.select(tokens.c.hash, tokens.c.kind, tokens.c.grant_id)
            .select_from(tokens.join(grants))
            .where(tokens.c.hash == hashed(token), grants.c.client_id == client.id)
        )
        async with self._database.writing() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return
            if row.kind == "refresh":
                await self._end_grant(connection, row.grant_id)
            else:
                await connection.execute(sa.delete(tokens).where(tokens.c.hash == row.hash))

    async def owner(self, token: Secret) -> TokenOwner | None:
        """Return whom an access token stands for, None if it is not good, or not any more."""
        row = await self._owner_query.one(hashed(token))
        if row is None:
            return None
        user_id, grant_id, scopes, version = row
        return TokenOwner(user_id, grant_id, frozenset(scopes.split()), version)

    async def _issue(self, connection: AsyncConnection, grant_id: str, scopes: str) -> Issued:
        now, access, refresh = self._database.now, new_secret(ACCESS_PREFIX), new_secret(REFRESH_PREFIX)
        await connection.execute(sa.delete(tokens).where(tokens.c.grant_id == grant_id, tokens.c.expires_at <= now))
        for secret, kind, seconds in ((access, "access", ACCESS_SECONDS), (refresh, "refresh", REFRESH_SECONDS)):
            values = {"hash": hashed(secret), "grant_id": grant_id, "kind": kind, "scopes": scopes}
            await connection.execute(sa.insert(tokens).values(**values, expires_at=now + seconds))
        return Issued(access, refresh, scopes)

    async def _end_grant(self, connection: AsyncConnection, grant_id: str) -> None:
        ended = sa.update(grants).where(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
        await connection.execute(ended.values(revoked_at=self._database.now))


def _subject(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{value}".encode("utf-8", "surrogatepass")).digest()


def _owner_query(database: Database) -> sa.Select[tuple[str, str, str, int]]:
    version = sa.func.coalesce(credentials.c.version, 0).label("version")
    joined = tokens.join(grants).outerjoin(credentials, credentials.c.user_id == grants.c.user_id)
    return (
        sa.select(grants.c.user_id, grants.c.id, tokens.c.scopes, version)
        .select_from(joined)
        .where(
            tokens.c.hash == sa.bindparam("hash", type_=sa.LargeBinary),
            tokens.c.kind == "access",
            tokens.c.expires_at > database.now,
            grants.c.revoked_at.is_(None),
        )
    )
