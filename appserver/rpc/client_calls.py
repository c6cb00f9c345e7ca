"""The server's side of talking to the client: notifications to it, and requests that it answers.

Does not know what a method means. A reply that comes after its caller has stopped waiting can still be of use: the
caller may leave a receiver for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.errors import ClientError, ClientGone, ClientTimeout
from appserver.log import redacted
from appserver.rpc.pending import PendingRequests
from appserver.rpc.router import validated_result
from protocol import envelope

if TYPE_CHECKING:
    from appserver.rpc.outbox import Outbox
    from appserver.rpc.pending import LateReceiver
    from appserver.rpc.shared_notification import SharedNotification
    from appserver.session import Session
    from protocol.envelope import Message


class ClientCalls:
    """Notifications and requests to one client."""

    def __init__(self, outbox: Outbox, session: Session) -> None:
        self._outbox = outbox
        self._session = session
        self._pending = PendingRequests()
        self._closed = False

    def notify(self, method: str, params: object) -> None:
        """Send a notification, unless the client has opted out of it, or not introduced itself yet."""
        if self._session.initialized and method not in self._session.opted_out:
            self._outbox.send(envelope.notification(method, params))

    def tell(self, notification: SharedNotification) -> None:
        """Send a notification that others are sent, too, as `notify` does."""
        if self._session.initialized and notification.method not in self._session.opted_out:
            self._outbox.send_shared(notification)

    async def request(
        self, method: str, params: object, *, timeout: float, late: LateReceiver | None = None
    ) -> dict[str, Any]:
        """Send a request and return its validated result; `timeout` in seconds.

        A result that comes after the timeout goes to `late`. Raises ClientError with the client's own words,
        ClientTimeout, InvalidParams where the result does not fit, or ClientGone once the connection has ended.
        """
        from anyio import move_on_after

        if self._closed:
            raise _gone(method)
        pending = self._pending.add(method, late)
        self._outbox.send(envelope.request(pending.id, method, params))
        try:
            with move_on_after(timeout):
                await pending.wait()
        finally:
            self._pending.stop_waiting(pending)
        if pending.reply is None and self._closed:
            raise _gone(method)
        if pending.reply is None:
            raise ClientTimeout(f"{method} timed out after {timeout:g}s")
        return _result(method, pending.reply)

    def take_reply(self, reply: Message) -> bool:
        """Give a reply to its request. Returns False if it answers none, or comes late and is of no use."""
        pending = self._pending.resolve(reply)
        if pending is None:
            return False
        if pending.is_overdue:
            if pending.late is None or _failed(reply):
                return False
            pending.late(_result(pending.method, reply))
        return True

    def close(self) -> None:
        """Expect no more replies: what waits for one fails."""
        self._closed = True
        self._pending.close()


def _gone(method: str) -> ClientGone:
    return ClientGone(f"{method} failed: the client has gone")


def _failed(reply: Message) -> bool:
    """Whether a reply tells of a failure. JSON-RPC 1.0 clients send both members, and one of them is null."""
    return reply.get("error") is not None or "result" not in reply


def _result(method: str, reply: Message) -> dict[str, Any]:
    if _failed(reply):
        raise ClientError(f"{method} failed: {_told(reply['error'])}")
    return validated_result(method, reply.get("result"))


def _told(error: object) -> str:
    """What the client says of its error, however it is shaped."""
    if not isinstance(error, dict):
        return redacted(str(error))
    code, message = error.get("code"), error.get("message")
    told = str(message) if message else "no message"
    return redacted(told if code is None else f"{told} (code={code})")
