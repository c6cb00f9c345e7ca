"""The owner of every background task: turns, logins, requests that wait.

Work can be handed in before the event loop runs; it starts when the loop does. Imports no event loop itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

Args = TypeVarTuple("Args")


class Tasks:
    """Starts tasks in the connection's task group, or keeps them until there is one."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._backlog: list[tuple[Callable[..., Awaitable[object]], tuple[object, ...]]] = []

    def start(self, function: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run function in a task of its own."""
        if self._group is None:
            self._backlog.append((function, args))
        else:
            self._group.start_soon(function, *args)

    @property
    def waiting(self) -> bool:
        """Whether there is work that needs the event loop."""
        return bool(self._backlog)

    def open(self, group: TaskGroup) -> None:
        """Start what was handed in so far, and what comes, in this group."""
        self._group = group
        backlog, self._backlog = self._backlog, []
        for function, args in backlog:
            group.start_soon(function, *args)
