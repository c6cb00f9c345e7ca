"""The table of pending requests: what was sent, under which id, and the reply that ends the wait for it.

Both ends of a connection use it: `rpc/client_calls.py` for the server's requests, `client/` and the tests' peer for the
client's. Knows neither how a message is sent nor what a reply means.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.envelope import Message, RequestId

    LateReceiver = Callable[[dict[str, Any]], None]

MAX_OVERDUE = 16
"""Requests that may wait for a late reply; the oldest are forgotten."""


class PendingRequest:
    """A request that was sent, and its reply once there is one."""

    def __init__(self, request_id: int, method: str, late: LateReceiver | None = None) -> None:
        from anyio import Event  # late: with the event loop

        self.id = request_id
        self.method = method
        self.late = late
        """Takes the result of a reply that comes when the caller does not wait any more."""
        self.is_overdue = False
        self.reply: Message | None = None
        self._ended = Event()

    async def wait(self) -> Message | None:
        """Wait for the reply and return it; None: the connection has ended, and none will come."""
        await self._ended.wait()
        return self.reply

    def end(self, reply: Message | None = None) -> None:
        """Wake the caller."""
        self.reply = reply
        self._ended.set()


class PendingRequests:
    """The requests without a reply, by their ids, which count up from `first_id`."""

    def __init__(self, first_id: int = 0) -> None:
        self._ids = itertools.count(first_id)
        self._waiting: dict[RequestId, PendingRequest] = {}
        self._overdue: dict[RequestId, PendingRequest] = {}

    def add(self, method: str, late: LateReceiver | None = None) -> PendingRequest:
        """Register a request that is about to be sent. Its caller ends with `stop_waiting`."""
        pending = PendingRequest(next(self._ids), method, late)
        self._waiting[pending.id] = pending
        return pending

    def stop_waiting(self, pending: PendingRequest) -> None:
        """Forget a request, unless it is unanswered and has a receiver for a late reply."""
        self._waiting.pop(pending.id, None)
        if pending.reply is None and pending.late is not None:
            pending.is_overdue = True
            self._overdue[pending.id] = pending
            while len(self._overdue) > MAX_OVERDUE:
                del self._overdue[next(iter(self._overdue))]

    def resolve(self, reply: Message) -> PendingRequest | None:
        """Give a reply to the request that it answers, and return that; None: there is no such request."""
        pending = self._waiting.pop(reply["id"], None) or self._overdue.pop(reply["id"], None)
        if pending is not None:
            pending.end(reply)
        return pending

    def close(self) -> None:
        """Wake all callers without a reply: the connection has ended."""
        for pending in self._waiting.values():
            pending.end()
        self._waiting.clear()
