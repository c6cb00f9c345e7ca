"""Whether the secret keys of this process fit what is stored: found out at its start, not with some user's request.

A value names its key (`cipher.py`), so nothing is decrypted for that. The database has a mark of its own, encrypted by
the first process that opens it: with it, nodes that were given different keys are told apart before a credential is
stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from appserver.errors import ConfigError
from appserver.gateway.database.cipher import FORMAT, NAME_BYTES
from appserver.gateway.database.schema import credentials, settings, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.gateway.database.cipher import Cipher
    from appserver.gateway.database.engine import Database

MARK = "secret_keys"

MAX_NAMED = 5
"""Users whom the error names."""


async def check_keys(database: Database, cipher: Cipher) -> None:
    """Raise ConfigError unless all that is stored was encrypted with keys of this process."""
    encrypted = (credentials.c.document, credentials.c.record)
    unreadable = sa.or_(*(_key_name(column).not_in(cipher.names) for column in encrypted))
    owners = sa.select(users.c.name).join(credentials).where(unreadable).order_by(users.c.name)
    mark = database.insert(settings).values(name=MARK, value=_mark(cipher)).on_conflict_do_nothing()
    async with database.writing() as connection:
        await connection.execute(mark)
        marked_with = sa.select(_key_name(settings.c.value)).where(settings.c.name == MARK)
        is_known = (await connection.execute(marked_with)).scalar_one() in cipher.names
        names = (await connection.execute(owners)).scalars().all()
    if names or not is_known:
        raise ConfigError(_complaint(names))


async def mark_keys(database: Database, cipher: Cipher) -> None:
    """Note that everything is encrypted with the first key."""
    row = database.insert(settings).values(name=MARK, value=_mark(cipher))
    async with database.writing() as connection:
        await connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def _mark(cipher: Cipher) -> bytes:
    return cipher.encrypted(b"", f"settings/{MARK}")


def _key_name(column: sa.Column[bytes]) -> sa.ColumnElement[bytes]:
    """Return the name of the key that a value was encrypted with."""
    return sa.func.substr(column, len(FORMAT) + 1, NAME_BYTES, type_=sa.LargeBinary)


def _complaint(names: Sequence[str]) -> str:
    words = "GATEWAY_SECRET_KEYS: the key is missing with which this database was encrypted"
    if not names:
        return f"{words}. If it is lost, run `appserver gateway credential rotate`: it holds no credential"
    named = ", ".join((*names[:MAX_NAMED], *(["..."] if len(names) > MAX_NAMED else [])))
    remedy = "remove them (`appserver gateway credential remove`) and run `appserver gateway credential rotate`"
    return f"{words}, or {len(names)} of its credentials ({named}). If it is lost, {remedy}"
