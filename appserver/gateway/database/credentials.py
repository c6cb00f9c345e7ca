"""A user's credential in the database (`auth.stores.base.CredentialStore`): encrypted, refreshed by one node at a time.

Each change is one transaction, which has the row locked. The lock of a redemption is a lease (`lease.py`). A node that
was suspended and has lost it leaves the write-ahead record to the next holder; what the issuer has answered it is still
stored, if nothing else was stored in place of the credential that was redeemed.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from appserver.auth.stores.auth_json import credential_in, document_bytes, document_with, parse_document
from appserver.auth.stores.base import Contents
from appserver.errors import AuthError, StoreBusy, StoreChangedError, StoreError
from appserver.gateway.database.lease import Lease, LeaseLost
from appserver.gateway.database.schedule import refresh_at
from appserver.gateway.database.schema import credentials
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from appserver.auth.credentials import Credential
    from appserver.gateway.database.cipher import Cipher
    from appserver.gateway.database.engine import Database
    from appserver.gateway.database.versions import Versions
    from appserver.tasks import Tasks
    from protocol.base import Secret

WRITE_TRIES = 20
WRITE_RETRY_SECONDS = 0.5
"""How often the issuer's response is written before it is given up: it is the only copy, and a database may restart."""

ACTIVE, NEEDS_LOGIN, NONE = "active", "needs_login", "none"
HASH_BYTES = 32

_DATABASE_ERRORS = (DBAPIError, PoolTimeout, OSError)


class Place(NamedTuple):
    """What the stores of all users of a node share."""

    database: Database
    cipher: Cipher
    versions: Versions
    tasks: Tasks
    fallback: Credential | None = None
    """The credential of users who have none of their own."""


class SqlCredentials:
    """The store of one user."""

    kind = "file"  # as the protocol has it: neither in a keyring nor in memory
    where = "the gateway's database"

    def __init__(self, place: Place, user_id: str) -> None:
        self._place = place
        self._user_id = user_id
        self._has_record = False
        self._stopping = anyio.Event()

    def version(self) -> Hashable:
        return self._place.versions.of(self._user_id)

    def has_record(self) -> bool:
        return self._has_record

    def load_in_place(self) -> Contents:
        raise StoreBusy("a database is read in the event loop")

    async def load(self) -> Contents:
        async with self._transaction(writing=False) as connection:
            row = await self._row(connection)
        if row is None or row["document"] is None:
            return Contents(self._place.fallback)
        return Contents(self._credential(row), row["refusal"])

    async def save(self, credential: Credential) -> None:
        with anyio.CancelScope(shield=True):  # a change that has begun is completed
            async with self._transaction() as connection:
                row = await self._locked(connection)
                await self._put(connection, row, credential)

    async def swap(self, old: Credential | None, new: Credential) -> None:
        with anyio.CancelScope(shield=True):
            async with self._transaction() as connection:
                row = await self._locked(connection)
                found = self._place.fallback if row["document"] is None else self._credential(row)
                if found != old and not (old is None and row["document"] is None):
                    raise StoreChangedError("the stored credential has changed")
                await self._put(connection, row, new)

    async def delete(self, *, everywhere: bool = False) -> Credential | None:
        with anyio.CancelScope(shield=True):
            async with self._transaction() as connection:
                row = await self._locked(connection)
                found = self._readable(row)
                ended = row["ended"] or b""
                if everywhere and row["is_held"] and found is not None and found.refresh_token is not None:
                    ended += _hash(found.refresh_token)
                await self._update(
                    connection,
                    {**_EMPTY, "kind": None, "document": None, "status": NONE, "ended": ended, "refresh_at": None},
                )
        return found

    async def refuse(self, refresh_token: Secret, reason: str) -> None:
        async with self._transaction() as connection:
            found = self._readable(await self._locked(connection))
            if found is not None and found.refresh_token == refresh_token:
                refused = {"refused": _hash(refresh_token), "refusal": reason}
                await self._update(connection, {**refused, "status": NEEDS_LOGIN, "refresh_at": None})

    async def record(self) -> dict[str, Any] | None:
        async with self._transaction(writing=False) as connection:
            row = await self._row(connection)
        if row is None or row["record"] is None:
            return None
        try:
            found = json.loads(self._place.cipher.decrypted(row["record"], self._name("record")))
        except (StoreError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    @asynccontextmanager
    async def redeeming(self) -> AsyncIterator[Redemption]:
        """Hold the lease of a redemption."""
        async with self._transaction() as connection:
            await self._locked(connection)  # that there is a row
        lease = Lease(self._place.database, self._transaction, self._user_id)
        await lease.take(self._stopping)
        done = anyio.CancelScope()
        self._place.tasks.start(lease.keep, done)
        try:
            yield Redemption(self, lease)
        finally:
            done.cancel()
            with anyio.CancelScope(shield=True):
                await lease.give_back()

    def stop_waiting(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        pass

    async def reencrypt(self) -> bool:
        """Encrypt with the first key what was encrypted with another. Return whether that was so."""
        async with self._transaction() as connection:
            row = await self._locked(connection)
            stale = {
                name: self._encrypted(name, self._place.cipher.decrypted(row[name], self._name(name)))
                for name in ("document", "record")
                if row[name] is not None and not self._place.cipher.is_current(row[name])
            }
            if stale:
                await connection.execute(self._where(sa.update(credentials)).values(**stale))
            return bool(stale)

    # The row

    async def write_record(self, record: dict[str, Any] | None, lease: Lease) -> None:
        """Store a write-ahead record, or none. Raises StoreError, StoreBusy, LeaseLost."""
        value = None if record is None else self._encrypted("record", json.dumps(record).encode())
        await lease.change({"record": value})
        self._has_record = record is not None

    async def ended(self) -> bytes:
        """Return the hashes of the refresh tokens whose logins have ended during a redemption."""
        async with self._transaction(writing=False) as connection:
            row = await self._row(connection)
        return b"" if row is None or row["ended"] is None else bytes(row["ended"])

    async def _put(self, connection: AsyncConnection, row: sa.RowMapping, credential: Credential) -> None:
        document = document_with(self._document(row), credential)
        identity = credential.identity
        await self._update(
            connection,
            {
                **_EMPTY,
                "kind": credential.mode,
                "chatgpt_user_id": identity.user_id,
                "account_id": identity.account_id,
                "document": self._encrypted("document", document_bytes(document)),
                "expires_at": credential.expires_at,
                "refresh_at": refresh_at(credential),
                "status": ACTIVE,
            },
        )

    async def _update(self, connection: AsyncConnection, values: dict[str, Any]) -> None:
        change = self._where(sa.update(credentials)).values(version=credentials.c.version + 1, **values)
        version = (await connection.execute(change.returning(credentials.c.version))).scalar_one()
        self._has_record = self._has_record and "record" not in values
        self._place.versions.heard(self._user_id, version)

    async def _row(self, connection: AsyncConnection, *, lock: bool = False) -> sa.RowMapping | None:
        now = self._place.database.now
        is_held = sa.and_(credentials.c.holder.is_not(None), credentials.c.held_until > now).label("is_held")
        query = sa.select(credentials, is_held).where(credentials.c.user_id == self._user_id)
        found = (await connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        if found is not None:
            self._has_record = found["record"] is not None
            if not lock:  # what a change makes of it is heard when it is made
                self._place.versions.heard(self._user_id, found["version"])
        return found

    async def _locked(self, connection: AsyncConnection) -> sa.RowMapping:
        """Return the row, locked until the end of the transaction. It is made if there is none."""
        if (row := await self._row(connection, lock=True)) is not None:
            return row
        new = {"user_id": self._user_id, "status": NONE, "version": 0, "held_until": 0.0}
        await connection.execute(self._place.database.insert(credentials).values(**new).on_conflict_do_nothing())
        row = await self._row(connection, lock=True)
        assert row is not None  # noqa: S101 - of the insert, or of another node's
        return row

    # Values

    @asynccontextmanager
    async def _transaction(self, *, writing: bool = True) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._place.database.writing() if writing else self._place.database.reading() as connection:
                yield connection
        except _DATABASE_ERRORS as exc:
            _raise_store_error(exc)

    def _credential(self, row: sa.RowMapping) -> Credential | None:
        """Return the row's credential. Raises StoreError."""
        try:
            return credential_in(self._document(row))
        except StoreError:
            raise
        except AuthError as exc:
            raise StoreError(f"the stored credential makes no sense: {exc.message}") from None

    def _readable(self, row: sa.RowMapping) -> Credential | None:
        try:
            return self._credential(row)
        except StoreError:
            return None

    def _document(self, row: sa.RowMapping) -> dict[str, Any]:
        if row["document"] is None:
            return {}
        try:
            return parse_document(self._place.cipher.decrypted(row["document"], self._name("document")))
        except ValueError as exc:
            raise StoreError(f"the stored credential cannot be read: {exc}") from None

    def _encrypted(self, column: str, plain: bytes) -> bytes:
        return self._place.cipher.encrypted(plain, self._name(column))

    def _name(self, column: str) -> str:
        """Return what a value is bound to: the row, and the column."""
        return f"credentials/{self._user_id}/{column}"

    def _where(self, change: sa.Update) -> sa.Update:
        return change.where(credentials.c.user_id == self._user_id)


class Redemption:
    """What may be done while the lease is held (`auth.stores.base.Redemption`)."""

    def __init__(self, store: SqlCredentials, lease: Lease) -> None:
        self._store = store
        self._lease = lease

    async def prepare(self) -> None:
        await self._store.write_record(None, self._lease)

    async def write(self, record: dict[str, Any]) -> None:
        for _ in range(WRITE_TRIES):
            try:
                await self._store.write_record(record, self._lease)
            except LeaseLost:
                return  # the record is the next holder's
            except (StoreError, StoreBusy):
                await anyio.sleep(WRITE_RETRY_SECONDS)
            else:
                return
        warn("what the issuer has answered could not be written to the database")

    async def discard(self) -> None:
        try:
            await self._store.write_record(None, self._lease)
        except LeaseLost:
            return
        except (StoreError, StoreBusy):
            warn("what was redeemed could not be removed from the database")

    async def has_ended(self, refresh_token: Secret) -> bool:
        ended, wanted = await self._store.ended(), _hash(refresh_token)
        return any(ended[start : start + HASH_BYTES] == wanted for start in range(0, len(ended), HASH_BYTES))


_EMPTY: dict[str, Any] = {"record": None, "refused": None, "refusal": None, "expires_at": None}
"""What ends with every change of the credential."""


def _hash(token: Secret) -> bytes:
    return hashlib.sha256(token.reveal().encode()).digest()


def _raise_store_error(exc: Exception) -> NoReturn:
    if isinstance(exc, PoolTimeout):
        raise StoreBusy("the database is busy") from exc
    raise StoreError(f"the database cannot be used ({type(exc).__name__})") from exc
