"""Which threads the client listens to: all that it has started or loaded, but those that it has unsubscribed from.

Such a thread stays loaded and goes on; the client is told its status and nothing of its turns. After a while it is
closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.tasks import Tasks

CLOSE_SECONDS = 1800.0
"""After which a thread that nobody listens to is closed: what the reference waits."""

BROADCAST = frozenset({"thread/status/changed"})
"""What is told of a thread whether the client listens to it or not."""


class Subscriptions:
    """The threads of a connection that it does not listen to, and what it is told of the others."""

    def __init__(self, notify: Callable[[str, object], None], tasks: Tasks) -> None:
        self._notify = notify
        self._tasks = tasks
        self._left: dict[str, Stop] = {}
        """By thread: what ends the wait before it is closed."""

    def emit(self, method: str, params: object) -> None:
        """Tell of something that happens in a turn, if the client listens to its thread."""
        if self._left and method not in BROADCAST and isinstance(params, dict) and params.get("threadId") in self._left:
            return
        self._notify(method, params)

    def unsubscribe(self, thread_id: str, close: Callable[[], None]) -> bool:
        """Tell nothing more of a thread, and close it after a while. Returns whether the client did listen to it."""
        if thread_id in self._left:
            return False
        stop = self._left[thread_id] = Stop()
        self._tasks.start(self._close_later, stop, close)
        return True

    def subscribe(self, thread_id: str) -> None:
        """Listen to a thread again, or forget one that is closed."""
        stop = self._left.pop(thread_id, None)
        if stop is not None:
            stop.cancel()

    async def _close_later(self, stop: Stop, close: Callable[[], None]) -> None:
        from anyio import sleep  # late: with the event loop

        with stop:
            await sleep(CLOSE_SECONDS)
            close()
