"""What keys use: requests and tokens per minute, exact across nodes, and the totals of each day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from appserver.gateway.database.schema import usage, windows
from appserver.log import warn

if TYPE_CHECKING:
    from appserver.gateway.database.engine import Database
    from appserver.gateway.metrics import Metrics
    from appserver.gateway.users import Caller

MINUTE = 60
DAY = 86_400

FLUSH_SECONDS = 1.0
"""How long totals are kept before they are written: one write for many requests. Limits are written at once."""

KEPT_MINUTES = 60
"""After which the windows of limits are removed."""


class Limited(Exception):
    """The key's limit is reached. `retry_after`: seconds until the next minute."""

    def __init__(self, what: str, limit: int, retry_after: int) -> None:
        super().__init__(f"Rate limit reached: {limit} {what} per minute")
        self.retry_after = retry_after


class Metering:
    """Counts, and says when it is enough."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._totals: dict[str, tuple[int, int, int]] = {}

    async def admit(self, caller: Caller) -> None:
        """Count a request. Raises Limited where it is one too many, or where the minute's tokens are used up."""
        if caller.key_id is None or (caller.rpm is None and caller.tpm is None):
            return
        minute = sa.cast(sa.func.floor(self._database.now / MINUTE), sa.BigInteger)
        row = self._database.insert(windows).values(key_id=caller.key_id, minute=minute, requests=1, tokens=0)
        room = sa.and_(
            sa.true() if caller.rpm is None else windows.c.requests < caller.rpm,
            sa.true() if caller.tpm is None else windows.c.tokens < caller.tpm,
        )
        counted = row.on_conflict_do_update(
            index_elements=["key_id", "minute"], set_={"requests": windows.c.requests + 1}, where=room
        )
        async with self._database.writing() as connection:
            if (await connection.execute(counted.returning(windows.c.requests))).scalar_one_or_none() is not None:
                return
            now = (await connection.execute(sa.select(self._database.now))).scalar_one()
            here = sa.and_(windows.c.key_id == caller.key_id, windows.c.minute == int(now // MINUTE))
            used = (await connection.execute(sa.select(windows.c.requests).where(here))).scalar_one_or_none()
        retry_after = max(1, MINUTE - int(now % MINUTE))
        if caller.rpm is not None and (caller.tpm is None or (used or 0) >= caller.rpm):
            raise Limited("requests", caller.rpm, retry_after)
        raise Limited("tokens", caller.tpm or 0, retry_after)

    async def used(self, caller: Caller, told: dict[str, Any] | None) -> None:
        """Count what a request has used, as the Responses API tells it. Never raises."""
        given, taken = (_number(told, name) for name in ("input_tokens", "output_tokens"))
        self._metrics.used(given, taken)
        if caller.key_id is None:
            return
        requests, before_given, before_taken = self._totals.get(caller.key_id, (0, 0, 0))
        self._totals[caller.key_id] = (requests + 1, before_given + given, before_taken + taken)
        if caller.tpm is not None and given + taken:
            try:
                await self._spend(caller.key_id, given + taken)
            except (DBAPIError, OSError) as exc:
                warn(f"the tokens of a request could not be counted ({type(exc).__name__})")

    async def run(self) -> None:
        """Write totals again and again."""
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what was counted and is not written yet. Never raises: it is tried again."""
        totals, self._totals = self._totals, {}
        if not totals:
            return
        try:
            async with self._database.writing() as connection:
                day = sa.cast(sa.func.floor(self._database.now / DAY), sa.BigInteger)
                for key_id, counts in sorted(totals.items()):  # in one order: nodes must not wait for each other
                    names = ("requests", "input_tokens", "output_tokens")
                    row = self._database.insert(usage).values(
                        key_id=key_id, day=day, **dict(zip(names, counts, strict=True))
                    )
                    added = {name: usage.c[name] + row.excluded[name] for name in names}
                    await connection.execute(row.on_conflict_do_update(index_elements=["key_id", "day"], set_=added))
                old = sa.cast(sa.func.floor(self._database.now / MINUTE), sa.BigInteger) - KEPT_MINUTES
                await connection.execute(sa.delete(windows).where(windows.c.minute < old))
        except (DBAPIError, OSError) as exc:
            warn(f"usage could not be written, which is tried again ({type(exc).__name__})")
            for key_id, (requests, given, taken) in totals.items():
                now = self._totals.get(key_id, (0, 0, 0))
                self._totals[key_id] = (requests + now[0], given + now[1], taken + now[2])

    async def _spend(self, key_id: str, tokens: int) -> None:
        minute = sa.cast(sa.func.floor(self._database.now / MINUTE), sa.BigInteger)
        row = self._database.insert(windows).values(key_id=key_id, minute=minute, requests=0, tokens=tokens)
        added = {"tokens": windows.c.tokens + tokens}
        async with self._database.writing() as connection:
            await connection.execute(row.on_conflict_do_update(index_elements=["key_id", "minute"], set_=added))


def _number(told: dict[str, Any] | None, name: str) -> int:
    value = (told or {}).get(name)
    return value if isinstance(value, int) and 0 <= value < 2**40 else 0
