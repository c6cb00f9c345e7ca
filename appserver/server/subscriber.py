"""A connection, as its workspace sees it: what can be sent to it and asked of it.

Types alone: import it under TYPE_CHECKING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appserver.auth.refresh.client import ClientRequests

if TYPE_CHECKING:
    from anyio import Event

    from appserver.rpc.shared_notification import SharedNotification
    from appserver.session import Session
    from protocol.diagnostics import DiagnosticsConnection
    from protocol.notify import Notify


class Receiver(Protocol):
    """What takes notifications."""

    @property
    def notify(self) -> Notify:
        """Sends a notification, unless the client has opted out of it."""

    def tell(self, notification: SharedNotification) -> None:
        """Send a notification that goes to others, too."""


class Subscriber(Receiver, ClientRequests, Protocol):
    """A connection, as its workspace sees it. Its `request` raises ClientGone once it has ended."""

    @property
    def session(self) -> Session:
        """Who is on the other end."""

    def diagnostics(self) -> DiagnosticsConnection:
        """Return figures about the connection."""

    @property
    def has_room(self) -> bool:
        """Whether the client reads fast enough for now."""

    def wake_when_read(self, waiter: object, waiting: Event) -> None:
        """Set an event once the client has read more, or has left. A waiter has one event at a time."""
