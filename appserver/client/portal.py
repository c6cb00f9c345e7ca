"""What the blocking face is made of: the asynchronous client runs in an event loop in a thread of its own.

`blocking.py` is generated from the asynchronous classes; each of its methods hands its arguments over here.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from anyio.from_thread import start_blocking_portal

from appserver.client.errors import ServerGone
from appserver.client.streams import NOTIFICATION_SECONDS, N, NotificationStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from appserver.client.app_server import AsyncAppServer

R = TypeVar("R")
X = TypeVar("X")
W = TypeVar("W")

_END = object()


class Blocking(Generic[W]):
    """The blocking face of an object. Any number of threads may use it."""

    def __init__(self, portal: Portal, wrapped: W) -> None:
        self._portal = portal
        self._async = wrapped


class Portal:
    """The way into the event loop."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def open(self, server: AsyncAppServer) -> None:
        """Start the event loop and enter the server there. Raises what that raises."""
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            stack.enter_context(self._portal.wrap_async_context_manager(server))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the server and the event loop."""
        self._stack.close()
        self._portal = None

    def wait(self, function: Callable[..., Awaitable[R]], *args: object, **kwargs: object) -> R:
        """Run a coroutine function in the loop; it is cancelled if the wait for it is interrupted."""
        if self._portal is None:
            raise ServerGone("The client is not open: use it in a `with` block")
        future = self._portal.start_task_soon(partial(function, *args, **kwargs))
        try:
            return future.result()
        except BaseException:
            future.cancel()  # changes nothing unless it is our wait that was interrupted
            raise

    def iterate(self, stream: AsyncIterator[X]) -> Iterator[X]:
        """Yield what an asynchronous iterator yields."""

        async def step() -> object:
            return await anext(stream, _END)

        async def close() -> None:
            if hasattr(stream, "aclose"):
                await stream.aclose()

        try:
            while (found := self.wait(step)) is not _END:
                yield found  # type: ignore[misc] # it is what the stream yields
        finally:
            if self._portal is not None:  # else all has ended, and this is the garbage collector
                self.wait(close)


class BlockingServer(Blocking["AsyncAppServer"]):
    """What the blocking server has beside its methods: its life."""

    def __enter__(self) -> Self:
        self._portal.open(self._async)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.close()


class Notifications(Blocking[NotificationStream[N]], Generic[N]):
    """Notifications from the moment it is entered: `with server.notifications(...) as stream: for note in stream`."""

    def __enter__(self) -> Self:
        self._portal.wait(self._async.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._async.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> N:
        return self._portal.wait(self._async.__anext__)

    def next(self, timeout: float = NOTIFICATION_SECONDS) -> N:
        """Wait for one notification; `timeout` in seconds. Raises TimeoutError."""
        return self._portal.wait(self._async.next, timeout)
