"""Clients that have connected and are not served yet: how many may be, and who goes where there are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import CancelScope, create_task_group

from appserver.log import log_exception
from appserver.transport.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.transport.base import Transport
    from appserver.transport.listener import Arrival, Listener

MAX_OPENING = 128
"""Clients that have connected and have not shown who they are, or said nothing yet."""

MAX_CLIENTS = 256
"""Clients that are served at the same time. Each has a descriptor, of which a process often has 1,024 in all, and some
megabytes of output that it has not read."""


class Arrivals:
    """The clients that come to the listeners of a server."""

    def __init__(self, served: Callable[[], int]) -> None:
        """`served`: how many clients are being served."""
        self._served = served
        self._opening: dict[Arrival, CancelScope] = {}  # the oldest first
        self._refusals = Refusals("app-server")

    def __bool__(self) -> bool:
        return bool(self._opening)

    async def accept(self, listener: Listener, serve: Callable[[Transport], None]) -> None:
        """Accept the clients of a listener and have each served once it is open, until no other can come."""
        async with create_task_group() as opening:
            while (arrival := await listener.accept()) is not None:
                if self._served() >= MAX_CLIENTS:
                    self._refusals.note(f"{MAX_CLIENTS} are served already")
                    arrival.close()
                else:
                    self._make_room()
                    opening.start_soon(self._open, arrival, serve)

    def _make_room(self) -> None:
        """Let the client go that has taken longest to open its connection: one that means it needs milliseconds."""
        if len(self._opening) >= MAX_OPENING:
            self._refusals.note(f"{MAX_OPENING} others have come since, and it has not opened its connection")
            self._opening.pop(next(iter(self._opening))).cancel()

    async def _open(self, arrival: Arrival, serve: Callable[[Transport], None]) -> None:
        transport: Transport | None = None
        try:
            with CancelScope() as scope:
                self._opening[arrival] = scope
                transport = await arrival.open()
        except Exception as exc:  # noqa: BLE001 - the other clients must not notice
            log_exception("a connection could not be opened", exc)
        finally:
            self._opening.pop(arrival, None)
            if transport is None:
                arrival.close()
        if transport is not None:
            serve(transport)
