"""Users, their API keys, and the audit log: what the admin commands change, and what each request asks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from appserver.errors import RequestError
from appserver.gateway.database.schema import api_keys, audit, clients, credentials, usage, users
from appserver.gateway.hashes import hashed, new_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appserver.gateway.database.engine import Database
    from protocol.base import Secret

KEY_PREFIX = "sk-gw-"

MAX_NAME = 128
"""Characters of a name."""


class FoundKey(NamedTuple):
    """An API key, its user, and the version of that user's credential."""

    id: str
    user_id: str
    scopes: frozenset[str]
    rpm: int | None
    tpm: int | None
    used_at: float | None
    now: float
    version: int


class Accounts:
    """Users and keys. Changes raise RequestError where there is no such row, and are noted in the audit log."""

    def __init__(self, database: Database, actor: str = "admin") -> None:
        """`actor`: who makes the changes, for the audit log."""
        self._database = database
        self._actor = actor
        self._key_query = database.prepared(_key_query(database), "hash")

    # What requests ask

    async def key(self, key: Secret) -> FoundKey | None:
        """Return the key with this secret, unless it was revoked."""
        row = await self._key_query.one(hashed(key))
        if row is None:
            return None
        key_id, user_id, scopes, rpm, tpm, used_at, now, version = row
        return FoundKey(key_id, user_id, frozenset(scopes.split()), rpm, tpm, used_at, now, version)

    async def note_use(self, key_id: str) -> None:
        """Note that a key is used now."""
        async with self._database.writing() as connection:
            await connection.execute(
                sa.update(api_keys).where(api_keys.c.id == key_id).values(used_at=self._database.now)
            )

    async def first_user(self) -> tuple[str, int] | None:
        """Return the id of the user that was made first, and the version of its credential."""
        async with self._database.reading() as connection:
            row = (
                await connection.execute(
                    sa.select(users.c.id, _version())
                    .select_from(_USERS)
                    .order_by(users.c.created_at, users.c.id)
                    .limit(1)
                )
            ).one_or_none()
        return None if row is None else (row.id, row.version)

    async def version(self, user_id: str) -> int | None:
        """Return the version of a user's credential, None if there is no such user."""
        query = sa.select(_version()).select_from(_USERS).where(users.c.id == user_id)
        async with self._database.reading() as connection:
            version: int | None = (await connection.execute(query)).scalar_one_or_none()
            return version

    async def user(self, name: str) -> tuple[str, str | None] | None:
        """Return a user's id and password hash."""
        query = sa.select(users.c.id, users.c.password).where(users.c.name == name)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.id, row.password)

    # What the administrator changes

    async def add_user(self, name: str, password: str | None) -> str:
        """Add a user and return its id. `password`: hashed."""
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise RequestError("A name is 1 to 128 printable characters")
        user_id = uuid.uuid4().hex
        async with self._database.writing() as connection:
            try:
                await connection.execute(
                    sa.insert(users).values(id=user_id, name=name, password=password, created_at=self._database.now)
                )
            except IntegrityError:
                raise RequestError("There is a user with this name already") from None
            await self._note(connection, "user.add", name)
        return user_id

    async def list_users(self) -> list[dict[str, Any]]:
        """Return all users, with the status of their credentials."""
        query = (
            sa.select(users.c.id, users.c.name, users.c.created_at, credentials.c.status, credentials.c.account_id)
            .select_from(_USERS)
            .order_by(users.c.name)
        )
        return [{**row, "status": row["status"] or "none"} for row in await self._rows(query)]

    async def list_credentials(self) -> list[dict[str, Any]]:
        """Return whose credentials there are, and in what state. A login that can be refreshed does not expire."""
        over = sa.and_(credentials.c.expires_at <= self._database.now, credentials.c.refresh_at.is_(None))
        expired = sa.and_(credentials.c.status == "active", over)
        listed = (credentials.c[name] for name in ("kind", "chatgpt_user_id", "account_id", "expires_at"))
        status = sa.case((expired, "expired"), else_=credentials.c.status).label("status")
        query = (
            sa.select(users.c.name.label("user"), *listed, status)
            .select_from(credentials.join(users))
            .where(credentials.c.document.is_not(None))
            .order_by(users.c.name)
        )
        return await self._rows(query)

    async def remove_user(self, name: str) -> None:
        """Remove a user with all that is theirs."""
        await self._change(sa.delete(users).where(users.c.name == name), "user.remove", name)

    async def set_password(self, name: str, password: str) -> None:
        """Give a user another password, hashed."""
        change = sa.update(users).where(users.c.name == name).values(password=password)
        await self._change(change, "user.password", name)

    async def add_key(
        self, user_id: str, scopes: Sequence[str], rpm: int | None = None, tpm: int | None = None
    ) -> tuple[str, Secret]:
        """Add an API key and return its id and secret, which is not stored."""
        key_id, secret = uuid.uuid4().hex[:16], new_secret(KEY_PREFIX)
        values = {"id": key_id, "user_id": user_id, "hash": hashed(secret), "scopes": " ".join(scopes)}
        async with self._database.writing() as connection:
            row = sa.insert(api_keys).values(**values, rpm=rpm, tpm=tpm, created_at=self._database.now)
            await connection.execute(row)
            await self._note(connection, "key.add", key_id)
        return key_id, secret

    async def list_keys(self) -> list[dict[str, Any]]:
        """Return all keys, with what each has used."""
        totals = (
            sa.select(
                usage.c.key_id,
                sa.func.sum(usage.c.requests).label("requests"),
                sa.func.sum(usage.c.input_tokens).label("input_tokens"),
                sa.func.sum(usage.c.output_tokens).label("output_tokens"),
            )
            .group_by(usage.c.key_id)
            .subquery()
        )
        listed = ("id", "scopes", "rpm", "tpm", "created_at", "used_at", "revoked_at")
        counted = (totals.c[name] for name in ("requests", "input_tokens", "output_tokens"))
        query = (
            sa.select(
                *(api_keys.c[name] for name in listed),
                users.c.name.label("user"),
                *(sa.func.coalesce(column, 0).cast(sa.BigInteger).label(column.name) for column in counted),
            )
            .select_from(api_keys.join(users).outerjoin(totals, totals.c.key_id == api_keys.c.id))
            .order_by(api_keys.c.created_at, api_keys.c.id)
        )
        return await self._rows(query)

    async def revoke_key(self, key_id: str) -> None:
        """Let a key be good no longer, at once and on every node."""
        change = sa.update(api_keys).where(api_keys.c.id == key_id)
        await self._change(change.values(revoked_at=self._database.now), "key.revoke", key_id)

    async def remove_key(self, key_id: str) -> None:
        """Remove a key. What it has used is kept."""
        await self._change(sa.delete(api_keys).where(api_keys.c.id == key_id), "key.remove", key_id)

    async def put_client(
        self, client_id: str, name: str, secret: Secret | None, scopes: Sequence[str], redirect_uris: Sequence[str]
    ) -> None:
        """Add an OAuth client, or replace it."""
        values = {
            "name": name,
            "secret_hash": None if secret is None else hashed(secret),
            "scopes": " ".join(scopes),
            "redirect_uris": " ".join(redirect_uris),
        }
        async with self._database.writing() as connection:
            row = self._database.insert(clients).values(id=client_id, created_at=self._database.now, **values)
            await connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=values))
            await self._note(connection, "client.add", client_id)

    async def list_clients(self) -> list[dict[str, Any]]:
        """Return all OAuth clients."""
        public = clients.c.secret_hash.is_(None).label("public")
        listed = (clients.c[name] for name in ("id", "name", "scopes", "redirect_uris", "created_at"))
        return await self._rows(sa.select(*listed, public).order_by(clients.c.id))

    async def remove_client(self, client_id: str) -> None:
        """Remove an OAuth client, with all that it was granted."""
        await self._change(sa.delete(clients).where(clients.c.id == client_id), "client.remove", client_id)

    async def audit_log(self, limit: int) -> list[dict[str, Any]]:
        """Return the latest entries of the audit log, the newest first."""
        return await self._rows(sa.select(audit).order_by(audit.c.id.desc()).limit(limit))

    async def note(self, action: str, subject: str) -> None:
        """Add an entry to the audit log."""
        async with self._database.writing() as connection:
            await self._note(connection, action, subject)

    async def _note(self, connection: AsyncConnection, action: str, subject: str) -> None:
        entry = {"at": self._database.now, "actor": self._actor, "action": action, "subject": subject}
        await connection.execute(sa.insert(audit).values(**entry))

    async def _change(self, change: sa.Update | sa.Delete, action: str, subject: str) -> None:
        async with self._database.writing() as connection:
            if not (await connection.execute(change)).rowcount:
                raise RequestError(f"There is no such {action.partition('.')[0]}")
            await self._note(connection, action, subject)

    async def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        async with self._database.reading() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


_USERS = users.outerjoin(credentials, credentials.c.user_id == users.c.id)


def _version() -> sa.Label[int]:
    return sa.func.coalesce(credentials.c.version, 0).label("version")


def _key_query(database: Database) -> sa.Select[Any]:
    columns = (api_keys.c[name] for name in ("id", "user_id", "scopes", "rpm", "tpm", "used_at"))
    return (
        sa.select(*columns, database.now.label("now"), _version())
        .select_from(api_keys.outerjoin(credentials, credentials.c.user_id == api_keys.c.user_id))
        .where(api_keys.c.hash == sa.bindparam("hash"), api_keys.c.revoked_at.is_(None))
    )
