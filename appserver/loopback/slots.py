"""Slots for clients: how many are served at once, and which one is dropped for the next if there is none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.loopback.limits import Limits
    from appserver.loopback.stream import Stream


class Slot:
    """The slot of one client, held until `serving` ends."""

    def __init__(self, slots: Slots, stream: Stream) -> None:
        self.stream = stream
        self.scope = anyio.CancelScope()
        self._slots = slots

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the client in the block, which is cancelled if another client gets the slot."""
        try:
            with self.scope:
                yield
        finally:
            self._slots.give_back()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Wait for the client's next request in the block: meanwhile it may lose its slot."""
        self._slots.idle[self] = None
        try:
            yield
        finally:
            self._slots.idle.pop(self, None)


class Slots:
    """All slots of one listening socket. `idle`: those that wait for a request, the longest first."""

    def __init__(self, limits: Limits) -> None:
        self.idle: dict[Slot, None] = {}
        self._limits = limits
        self._free = anyio.Semaphore(limits.connections)

    async def take(self, stream: Stream) -> Slot:
        """Return a slot for this client; wait until there is one."""
        if self._free.value == 0 and self._limits.replaces_idle:
            self.drop_idle()
        await self._free.acquire()
        return Slot(self, stream)

    def drop_idle(self) -> None:
        """Close the connection that has been idle longest, preferably one that has sent nothing since."""
        silent = (slot for slot in self.idle if not slot.stream.has_unread())
        slot = next(silent, next(iter(self.idle), None))
        if slot is not None:
            del self.idle[slot]
            slot.scope.cancel()

    def give_back(self) -> None:
        self._free.release()
