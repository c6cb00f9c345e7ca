"""Our side of talking to the client: notifications to it, and requests of ours that it answers.

Knows ids and waiting, not what a method means. A reply that comes after its wait has ended can still be of use: the
caller may leave a receiver for it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from appserver.errors import ClientError, ClientTimeout
from appserver.log import redacted
from protocol import envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from appserver.rpc.outbox import Outbox
    from appserver.session import Session
    from protocol.envelope import Message, RequestId

MAX_LATE_REPLIES = 16
"""Requests that may wait for a late reply; the oldest are forgotten."""


class _Pending:
    """A request that was sent, and its reply once that is there."""

    def __init__(self, method: str, arrived: Event, late: Callable[[dict[str, Any]], None] | None) -> None:
        self.method = method
        self.arrived = arrived
        self.late = late
        self.reply: Message | None = None


class ClientCalls:
    """The application on the other end."""

    def __init__(self, outbox: Outbox, session: Session) -> None:
        self._outbox = outbox
        self._session = session
        self._ids = itertools.count()
        self._pending: dict[RequestId, _Pending] = {}
        self._overdue: dict[RequestId, _Pending] = {}

    def notify(self, method: str, params: object) -> None:
        """Send a notification, unless the client has opted out of it."""
        if method not in self._session.opted_out:
            self._outbox.send(envelope.notification(method, params))

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its validated result; `timeout` in seconds.

        A result that comes after the timeout goes to `late`. Raises ClientError with the client's own words,
        ClientTimeout, or InvalidParams where the result does not fit.
        """
        from anyio import Event, move_on_after

        request_id = next(self._ids)
        pending = self._pending[request_id] = _Pending(method, Event(), late)
        self._outbox.send(envelope.request(request_id, method, params))
        try:
            with move_on_after(timeout):
                await pending.arrived.wait()
        finally:
            self._pending.pop(request_id, None)
            if pending.reply is None and late is not None:
                self._await_late(request_id, pending)
        if pending.reply is None:
            raise ClientTimeout(f"{method} timed out after {timeout:g}s")
        return _result(method, pending.reply)

    def settle(self, reply: Message) -> bool:
        """Take a reply. Returns False if nobody waits for it."""
        if (pending := self._pending.pop(reply["id"], None)) is not None:
            pending.reply = reply
            pending.arrived.set()
            return True
        if (overdue := self._overdue.pop(reply["id"], None)) is not None:
            return self._deliver_late(overdue, reply)
        return False

    def _await_late(self, request_id: RequestId, pending: _Pending) -> None:
        self._overdue[request_id] = pending
        while len(self._overdue) > MAX_LATE_REPLIES:
            del self._overdue[next(iter(self._overdue))]

    def _deliver_late(self, pending: _Pending, reply: Message) -> bool:
        if _failed(reply) or pending.late is None:
            return False
        pending.late(_result(pending.method, reply))
        return True


def _failed(reply: Message) -> bool:
    """Whether a reply tells of a failure. JSON-RPC 1.0 clients send both members, and one of them is null."""
    return reply.get("error") is not None or "result" not in reply


def _result(method: str, reply: Message) -> dict[str, Any]:
    if _failed(reply):
        raise ClientError(f"{method} failed: {_told(reply['error'])}")
    from appserver.rpc.params import validated_result  # late: imports the method table

    return validated_result(method, reply.get("result"))


def _told(error: object) -> str:
    """What the client says of its error, however it is shaped."""
    if not isinstance(error, dict):
        return redacted(str(error))
    code, message = error.get("code"), error.get("message")
    told = str(message) if message else "no message"
    return redacted(told if code is None else f"{told} (code={code})")
