"""Subscribing to a thread whose history is about to be told: nothing is told twice, and nothing is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.server.running_items import item_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from appserver.rpc.shared_notification import SharedNotification
    from appserver.server.running_items import Notification
    from appserver.server.subscriber import Subscriber
    from protocol.notify import Notify


class Joining:
    """A connection that is about to be told the history of a thread, and what it is to be told after it."""

    def __init__(
        self,
        connection: Subscriber,
        thread_id: str,
        so_far: list[Notification],
        end: Callable[..., bool],
    ) -> None:
        """`end`: ends the holding, subscribes the connection if `subscribe`, and returns whether something was held."""
        self.connection = connection
        self.thread_id = thread_id
        self.notify: Notify = self._hold
        """Holds a notification."""
        self._held = so_far
        self._end = end

    def _hold(self, method: Any, params: Any) -> None:  # noqa: ANN401 - checked by Notify
        self._held.append((method, params))

    def tell(self, notification: SharedNotification) -> None:
        """Hold a notification that goes to others, too."""
        self._hold(notification.method, notification.message["params"])

    def finish(self, known: Collection[str] = ()) -> None:
        """Tell it what was held, once it has been told the history, and from now on what happens.

        Does nothing if it has unsubscribed or left meanwhile. `known`: ids of the items that are in the history.
        """
        if self._end(self, subscribe=True):
            notify: Any = self.connection.notify
            for method, params in self._held:
                if item_id_of(params) not in known:
                    notify(method, params)
