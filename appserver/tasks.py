"""The owner of every background task: turns, logins, requests that wait.

Tasks can be added before the event loop runs; they start when it does. Does not import an event loop itself.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from types import TracebackType

    from anyio import CancelScope
    from anyio.abc import TaskGroup

Args = TypeVarTuple("Args")


class Tasks:
    """Starts tasks in a task group, or keeps them until there is one. Either way they run in the caller's context."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._backlog: list[tuple[Context, Callable[..., Coroutine[Any, Any, object]], tuple[object, ...]]] = []
        self._closed = False

    def start(self, function: Callable[[*Args], Coroutine[Any, Any, object]], *args: *Args) -> None:
        """Run function in a task of its own; do nothing once everything has ended."""
        if self._closed:
            return
        if self._group is None:
            self._backlog.append((copy_context(), function, args))
        else:
            self._group.start_soon(function, *args)

    @property
    def running(self) -> bool:
        """Whether the event loop runs, and with it what is started."""
        return self._group is not None

    @property
    def waiting(self) -> bool:
        """Whether tasks wait for the event loop."""
        return bool(self._backlog)

    def open(self, group: TaskGroup) -> None:
        """Start the tasks that were added so far, and later ones, in this group."""
        self._group = group
        backlog, self._backlog = self._backlog, []
        for context, function, args in backlog:
            context.run(partial(group.start_soon, function, *args))

    def close(self) -> None:
        """Start nothing more: the group ends."""
        self._closed = True


class Stop:
    """A cancel scope that can be made, and cancelled, before the event loop runs."""

    def __init__(self) -> None:
        self._scope: CancelScope | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """End what runs inside the scope, or will."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def __enter__(self) -> None:
        from anyio import CancelScope

        self._scope = CancelScope()
        if self._cancelled:
            self._scope.cancel()
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        assert self._scope is not None  # noqa: S101 - set by __enter__
        return bool(self._scope.__exit__(kind, exc, traceback))
