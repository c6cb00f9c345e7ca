"""The places for clients: how many are served at once, and which one goes where the next finds none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.loopback.limits import Limits
    from appserver.loopback.stream import Stream


class Place:
    """One client's place, held until `serving` ends."""

    def __init__(self, places: Places, stream: Stream) -> None:
        self.stream = stream
        self.scope = anyio.CancelScope()
        self._places = places

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the client here; ends early if the place is given to another one."""
        try:
            with self.scope:
                yield
        finally:
            self._places.give_back()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Wait for the client here: it may lose its place meanwhile."""
        self._places.idle[self] = None
        try:
            yield
        finally:
            self._places.idle.pop(self, None)


class Places:
    """All places behind one listening socket. `idle`: those whose client is waited for, the longest first."""

    def __init__(self, limits: Limits) -> None:
        self.idle: dict[Place, None] = {}
        self._limits = limits
        self._free = anyio.Semaphore(limits.connections)

    async def take(self, stream: Stream) -> Place:
        """Return a place for this client, and wait for one where none can be had at once."""
        if self._free.value == 0 and self._limits.replaces_idle:
            self.drop_idle()
        await self._free.acquire()
        return Place(self, stream)

    def drop_idle(self) -> None:
        """Close the connection that has been idle longest: best one whose client has said nothing since."""
        silent = (place for place in self.idle if not place.stream.has_unread())
        place = next(silent, next(iter(self.idle), None))
        if place is not None:
            del self.idle[place]
            place.scope.cancel()

    def give_back(self) -> None:
        self._free.release()
