"""This process among those that share the database: which turns it runs, and the lease under which they are its own.

A node that dies cannot say so: its lease runs out, and its turns are seen as interrupted. One that was merely slow goes
on, unless another node has written by then that a turn was interrupted: whoever writes to a turn checks whose it is.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import anyio
import sqlalchemy as sa

from appserver.gateway.database.connections import FAILURES
from appserver.gateway.database.schema import nodes
from appserver.log import warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from appserver.gateway.database.engine import Database
    from appserver.tasks import Tasks

LEASE_SECONDS = 6.0
"""After which a node that does not renew its lease is taken to be dead. The threads of its turns wait for that."""

RENEW_SECONDS = 1.0
"""Several may fail before the lease is lost. A node without a turn renews nothing."""

KEPT_SECONDS = 3600.0
"""After which the row of a dead node may be removed: without one it is as dead."""

CLOSE_SECONDS = 1.0
"""What giving the lease back may take at the end of the process."""


class Node:
    """One per process."""

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self.database = database
        self.id = uuid.uuid4().hex
        self._tasks = tasks
        self._turns: set[str] = set()
        self._meanwhile: list[set[str]] = []
        self._had_turns = False
        self._renewed_at: float | None = None
        """When the lease was renewed last, by the clock of this process. None: it never was taken."""
        self._is_renewing = False

    async def begin(self, turn_id: str) -> None:
        """Note that a turn is about to be this node's, which has a lease from now on. Raises what the database does."""
        if self._renewed_at is None or monotonic() - self._renewed_at > 2 * RENEW_SECONDS:
            await self._renew()
        for turns in (self._turns, *self._meanwhile):
            turns.add(turn_id)
        self._had_turns = True
        if not self._is_renewing:
            self._is_renewing = True
            self._tasks.start(self._keep_renewing)

    def end(self, turn_id: str) -> None:
        """Note that a turn is not this node's any more."""
        self._turns.discard(turn_id)

    def had_turns(self) -> bool:
        """Return whether any turn has been this node's at any time since this was asked last."""
        had, self._had_turns = self._had_turns, bool(self._turns)
        return had

    @contextmanager
    def turns_meanwhile(self) -> Iterator[AbstractSet[str]]:
        """Lend the ids of all turns that are this node's at any time within the block.

        What is read there may be older than the end of a turn: a turn that still runs in it has not been cut off.
        """
        turns = set(self._turns)
        self._meanwhile.append(turns)
        try:
            yield turns
        finally:
            self._meanwhile = [one for one in self._meanwhile if one is not turns]

    def has(self, turn_id: str, owner: str, *, leased: bool, turns: AbstractSet[str] | None = None) -> bool:
        """Whether a turn runs: on this node, or on another one, which has a lease.

        `turns`: those of this node, where not those of now are meant.
        """
        if owner != self.id:
            return leased
        return turn_id in (self._turns if turns is None else turns)

    async def close(self) -> None:
        """Give the lease up: turns that still count as running were cut off. Sweep up after those that have died."""
        if self._renewed_at is None:
            return
        dead = nodes.c.until < self.database.now - KEPT_SECONDS
        with anyio.move_on_after(CLOSE_SECONDS):
            try:
                async with self.database.writing() as connection:
                    await connection.execute(sa.delete(nodes).where(sa.or_(nodes.c.id == self.id, dead)))
            except FAILURES:
                warn("the lease of this node could not be given back; it ends by itself")

    async def _keep_renewing(self) -> None:
        try:
            while self._turns:
                await anyio.sleep(RENEW_SECONDS)
                try:
                    await self._renew()
                except Exception as exc:  # noqa: BLE001 - with the lease all turns of this node would be lost
                    warn(f"the lease of this node could not be renewed; this is tried again ({type(exc).__name__})")
        finally:
            self._is_renewing = False

    async def _renew(self) -> None:
        until = self.database.now + LEASE_SECONDS
        row = self.database.insert(nodes).values(id=self.id, until=until)
        begun = monotonic()
        async with self.database.writing() as connection:
            await connection.execute(row.on_conflict_do_update(index_elements=["id"], set_={"until": until}))
        self._renewed_at = begun
