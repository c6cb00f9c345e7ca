"""What keys use: requests and tokens per minute, across nodes, and the totals of each day.

Requests are exact. The tokens of a request are known when it has been answered, so an estimate of them is taken from
the minute's tokens before it is sent, in the statement that looks whether so many are left. What was used takes its
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import sqlalchemy as sa

from appserver.gateway.database.connections import FAILURES
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

SETTLE_SECONDS = 2.0
"""For how long the end of an answer waits until its tokens are counted: after that what was reserved counts."""

KEPT_MINUTES = 60
"""After which the windows of limits are removed."""


class Limited(Exception):
    """The key's limit is reached. `retry_after`: seconds until the next minute."""

    def __init__(self, what: str, limit: int, retry_after: int) -> None:
        super().__init__(f"Rate limit reached: {limit} {what} per minute")
        self.retry_after = retry_after


class Reservation(NamedTuple):
    """Tokens that a request may take, and the minute from whose tokens they were taken."""

    key_id: str
    minute: int
    tokens: int


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
        row = self._database.insert(windows).values(key_id=caller.key_id, minute=self._minute, requests=1, tokens=0)
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
        retry_after = _left_of_minute(now)
        if caller.rpm is not None and (caller.tpm is None or (used or 0) >= caller.rpm):
            raise Limited("requests", caller.rpm, retry_after)
        raise Limited("tokens", caller.tpm or 0, retry_after)

    async def reserve(self, caller: Caller, tokens: int) -> Reservation | None:
        """Take the tokens that a request may take from those of the minute. Raises Limited where so many are not left.

        None: the key has no limit. `tokens`: no more than the limit.
        """
        if caller.key_id is None or caller.tpm is None:
            return None
        async with self._database.writing() as connection:
            taken = self._added(caller.key_id, tokens, windows.c.tokens + tokens <= caller.tpm)
            minute = (await connection.execute(taken.returning(windows.c.minute))).scalar_one_or_none()
            if minute is not None:
                return Reservation(caller.key_id, minute, tokens)
            now = (await connection.execute(sa.select(self._database.now))).scalar_one()
        raise Limited("tokens", caller.tpm, _left_of_minute(now))

    async def used(self, caller: Caller, reserved: Reservation | None, told: dict[str, Any] | None) -> None:
        """Count what a request has used, as the Responses API tells it. Never raises, and is not broken off halfway.

        `told`: None where that is not known, and then what was reserved counts.
        """
        given, taken = (_number(told, name) for name in ("input_tokens", "output_tokens"))
        self._metrics.used(given, taken)
        if caller.key_id is None:
            return
        requests, before_given, before_taken = self._totals.get(caller.key_id, (0, 0, 0))
        self._totals[caller.key_id] = (requests + 1, before_given + given, before_taken + taken)
        if reserved is not None and told is not None:
            try:
                with anyio.fail_after(SETTLE_SECONDS, shield=True):
                    await self._settle(reserved, given + taken)
            except FAILURES as exc:
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
                old = self._minute - KEPT_MINUTES
                await connection.execute(sa.delete(windows).where(windows.c.minute < old))
        except FAILURES as exc:
            warn(f"usage could not be written, which is tried again ({type(exc).__name__})")
            for key_id, (requests, given, taken) in totals.items():
                now = self._totals.get(key_id, (0, 0, 0))
                self._totals[key_id] = (requests + now[0], given + now[1], taken + now[2])

    async def _settle(self, reserved: Reservation, used: int) -> None:
        """Give back what was not used to the minute it was taken from; take what goes beyond it from this minute."""
        beyond = used - reserved.tokens
        if not beyond:
            return
        mine = sa.and_(windows.c.key_id == reserved.key_id, windows.c.minute == reserved.minute)
        back = sa.update(windows).where(mine).values(tokens=windows.c.tokens + beyond)
        async with self._database.writing() as connection:
            await connection.execute(back if beyond < 0 else self._added(reserved.key_id, beyond))

    def _added(self, key_id: str, tokens: int, room: sa.ColumnElement[bool] | None = None) -> Any:  # noqa: ANN401 - as `insert`
        """Return a statement that adds to the tokens of this minute, if there is room."""
        row = self._database.insert(windows).values(key_id=key_id, minute=self._minute, requests=0, tokens=tokens)
        sums = {"tokens": windows.c.tokens + tokens}
        return row.on_conflict_do_update(index_elements=["key_id", "minute"], set_=sums, where=room)

    @property
    def _minute(self) -> sa.ColumnElement[int]:
        return sa.cast(sa.func.floor(self._database.now / MINUTE), sa.BigInteger)


def _left_of_minute(now: float) -> int:
    """Return the seconds until the next minute."""
    return max(1, MINUTE - int(now % MINUTE))


def _number(told: dict[str, Any] | None, name: str) -> int:
    value = (told or {}).get(name)
    return value if isinstance(value, int) and 0 <= value < 2**40 else 0
