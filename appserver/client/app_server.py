"""The client's side of an app-server: start or reach one, ask it, listen to it, end it.

Owns what outlives a connection: handlers, tools, streams, the threads that are in use. Here is what a new connection is
told before anything else: who we are, whose tokens are used, and which threads go on.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

import anyio

from appserver.client import types
from appserver.client.account import AsyncAccount
from appserver.client.calls import call_function
from appserver.client.connection import REQUEST_SECONDS
from appserver.client.errors import RequestLost, ServerError, ServerGone, ThreadLost, TurnLost
from appserver.client.methods import AsyncConfig, AsyncModels, AsyncServerMethods
from appserver.client.process import Subprocess
from appserver.client.restart import RestartPolicy, ServerRestarted, Supervisor
from appserver.client.retries import delay_after, is_repeatable
from appserver.client.streams import NotificationStream, Told, wanted
from appserver.client.threads import AsyncThread, AsyncThreads
from appserver.client.tokens import SingleFlight, TokenRequest
from appserver.client.tools import Toolbox
from appserver.client.turns import TurnStream
from appserver.client.urls import attachment_of
from appserver.client.wire import Notification, encode
from protocol import error_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from appserver.client.attachment import Attachment
    from appserver.client.connection import Handler, ServerConnection
    from appserver.client.tokens import TokenProvider
    from appserver.client.tools import Tool

HANDSHAKE_SECONDS: Final = 30.0
"""From starting the process to its first answer, on the slowest of machines."""

DEFAULT_CLIENT: Final = {"name": "appserver-client", "version": "1"}

REFRESH: Final = "account/chatgptAuthTokens/refresh"
TOOL_CALL: Final = "item/tool/call"

N = TypeVar("N", bound=Notification)


class AsyncAppServer(AsyncServerMethods):
    """A running app-server: `async with AsyncAppServer() as server`. Any number of tasks may use it at once.

    Raises in the first line of the block: ServerGone if the server cannot be started or reached, ServerError if it
    refuses, TimeoutError if it does not answer, and what the token provider raises.
    """

    def __init__(
        self,
        attachment: Attachment | str | None = None,
        *,
        client_info: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        token_provider: TokenProvider | None = None,
        tools: Sequence[Tool[..., Any]] = (),
        restart: RestartPolicy | None = None,
    ) -> None:
        """`attachment`: how the server is reached: by a URL such as unix://, or a `Subprocess` of its own if left out.

        `client_info`: name and version of your application. `capabilities`: of the handshake, as they are.
        `token_provider`: signs in with the application's tokens, and is asked for new ones. `tools`: what the model may
        call in every thread that is started here. `restart`: how often a server that dies is started again; never if
        left out.
        """
        super().__init__(self)
        self.account = AsyncAccount(self)
        self.threads = AsyncThreads(self)
        self.models = AsyncModels(self)
        self.config = AsyncConfig(self)
        self.info: types.InitializeResult
        """What the server said of itself in the handshake."""
        self.restarts = restart is not None
        self.toolbox = Toolbox(tools)
        self.open_threads: weakref.WeakValueDictionary[str, AsyncThread] = weakref.WeakValueDictionary()
        self.open_streams: set[NotificationStream[Any]] = set()
        self._handshake = {
            "clientInfo": dict(client_info or DEFAULT_CLIENT),
            "capabilities": dict(capabilities or {}),
        }
        self._tokens = SingleFlight(token_provider) if token_provider else None
        self._handlers: dict[str, Handler] = {TOOL_CALL: self._run_tool}
        if self._tokens:
            self._handlers[REFRESH] = self._fresh_tokens
        self._lost_turns: list[TurnLost] = []
        self._lost_threads: list[str] = []
        way = attachment_of(attachment) if isinstance(attachment, str) else attachment or Subprocess()
        self._supervisor = Supervisor(way, restart, self, self._handlers, self._tell)
        self._tasks: TaskGroup

    @property
    def process_id(self) -> int | None:
        """The server's process, if it is one of its own."""
        return self._supervisor.process_id

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._tasks.start(self._supervisor.run)
        except BaseException as exc:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
            raise exc from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._supervisor.stop()
        if isinstance(error, Exception):
            # Kept from the task group, which would wrap it in an ExceptionGroup.
            await self._tasks.__aexit__(None, None, None)
            return None
        return await self._tasks.__aexit__(kind, error, trace)

    async def request(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result as JSON; `timeout` in seconds.

        Raises ServerError, ServerGone, RequestLost, TimeoutError. While a server that was lost is started again, it
        waits; one that was under way is sent again if it only reads. One that is refused for load is sent again later.
        """
        refusals = 0
        with _within(timeout, f"{method}: no answer"):
            while True:
                connection = await self._supervisor.connection()
                try:
                    return await connection.request(method, encode(params), timeout=timeout)
                except ServerError as exc:
                    refusals += 1
                    delay = delay_after(exc, refusals)
                    if delay is None:
                        raise
                    await anyio.sleep(delay)
                except RequestLost:
                    if not (self.restarts and is_repeatable(method)):
                        raise
                except ServerGone:  # it was not sent
                    if not self.restarts:
                        raise

    async def notify(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> None:
        """Send a notification; `timeout` in seconds. Raises ServerGone, or TimeoutError if the server does not read."""
        with _within(timeout, f"{method}: not taken"):
            connection = await self._supervisor.connection()
            await connection.notify(method, encode(params), timeout=timeout)

    def on_request(self, method: str, handler: Callable[[dict[str, Any]], object]) -> None:
        """Answer the server's requests of this method: `handler` gets the params and returns the result.

        It may be a coroutine function; one that is not runs in a thread. Each request runs in a task of its own. An
        exception becomes an error reply that carries its text; a method without a handler is answered with -32601.
        """
        self._handlers[method] = partial(call_function, handler)

    @overload
    def notifications(self, *, thread_id: str | None = None) -> NotificationStream: ...
    @overload
    def notifications(self, *kinds: type[N], thread_id: str | None = None) -> NotificationStream[N]: ...
    def notifications(self, *kinds: type[Any], thread_id: str | None = None) -> NotificationStream[Any]:
        """Listen: `async with server.notifications(TurnCompletedNotification) as stream: async for note in stream`.

        Without classes: to all. With `thread_id`: to those of one thread. A stream has what comes after it was
        entered, in order and complete; see `streams` for one that is not read.
        """
        stream = NotificationStream[Any](self.open_streams, wanted(kinds, thread_id))
        if self._supervisor.why_gone is not None:
            stream.end(ServerGone(self._supervisor.why_gone))
        return stream

    # What the supervisor asks for

    async def introduce(self, connection: ServerConnection, *, again: bool) -> None:
        """Shake hands, sign in with the application's tokens, and go on with the threads that are in use."""
        info = await connection.request("initialize", self._handshake, timeout=HANDSHAKE_SECONDS)
        self.info = types.InitializeResult.from_wire(info)
        await connection.notify("initialized")
        if self._tokens is not None:
            tokens = await self._tokens.tokens(TokenRequest("login"))
            await connection.request("account/login/start", {"type": "chatgptAuthTokens", **tokens.to_wire()})
        if again:
            for thread in list(self.open_threads.values()):
                await self._resume(connection, thread)

    def lost(self, why: str) -> None:
        """End the streams of turns that ran."""
        for stream in list(self.open_streams):
            if isinstance(stream, TurnStream) and stream.turn_id is not None:
                lost = TurnLost(why, stream.thread_id, stream.turn_id)
                self._lost_turns.append(lost)
                stream.end(lost)
                stream.close()

    def restarted(self, why: str) -> None:
        """Tell what was lost."""
        note = ServerRestarted(why, tuple(self._lost_turns), tuple(self._lost_threads))
        self._lost_turns, self._lost_threads = [], []
        for stream in list(self.open_streams):
            stream.put(note)

    def gone(self, why: str) -> None:
        """End all streams."""
        self.lost(why)
        for stream in list(self.open_streams):
            stream.end(ServerGone(why))

    async def _resume(self, connection: ServerConnection, thread: AsyncThread) -> None:
        try:
            await connection.request("thread/resume", {"threadId": thread.id, "excludeTurns": True})
        except ServerError as exc:
            thread.lost = ThreadLost(exc.message, thread.id)
            self._lost_threads.append(thread.id)

    # What the server sends

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        note = Told(method, params)
        for stream in list(self.open_streams):
            stream.put(note)

    async def _fresh_tokens(self, params: dict[str, Any]) -> object:
        assert self._tokens is not None  # noqa: S101 - else this is no handler
        told = types.AuthTokensRefreshParams.from_wire(params)
        return (await self._tokens.tokens(TokenRequest("unauthorized", told.previous_account_id))).to_wire()

    async def _run_tool(self, params: dict[str, Any]) -> object:
        call = types.DynamicToolCallParams.from_wire(params)
        found = self.toolbox.find(call.thread_id, call.namespace, call.tool)
        if found is None:
            raise ServerError(error_codes.METHOD_NOT_FOUND, f"there is no function for the tool {call.tool}")
        return await found.run(call)


@contextmanager
def _within(seconds: float, what: str) -> Iterator[None]:
    """Bound a block, and say in the TimeoutError what has not happened."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise TimeoutError(f"{what} within {seconds:g}s") from None
