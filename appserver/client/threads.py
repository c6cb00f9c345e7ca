"""Threads: starting, resuming and forking them, and running turns in them."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, Unpack, overload

from appserver.client import types
from appserver.client.caller import Requests
from appserver.client.errors import RequestLost, ThreadLost, TurnLost
from appserver.client.inputs import wire_input
from appserver.client.methods import AsyncThreadMethods, AsyncThreadsMethods
from appserver.client.options import ThreadForkOptions, ThreadResumeOptions, ThreadStartOptions, TurnOptions
from appserver.client.schemas import output_schema as schema_of
from appserver.client.tools import definitions
from appserver.client.turns import TURN_SECONDS, AsyncTurn, TurnStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from appserver.client.inputs import Input
    from appserver.client.results import TurnResult
    from appserver.client.streams import NotificationStream
    from appserver.client.tools import Tool, Toolbox
    from appserver.client.wire import Notification

SENDINGS: Final = 3
"""How often a turn is sent whose server is lost before it has begun. One that is lost each time is not the server's
bad luck."""

T = TypeVar("T")


class ThreadOwner(Requests, Protocol):
    """What threads need of the client."""

    restarts: bool
    """Whether a server that is lost is replaced."""

    toolbox: Toolbox
    open_threads: weakref.WeakValueDictionary[str, AsyncThread]
    open_streams: set[NotificationStream[Any]]


class AsyncThread(AsyncThreadMethods):
    """A conversation that turns can be run in. Any number of tasks may use it; one turn runs at a time."""

    def __init__(self, owner: ThreadOwner, started: types.ThreadStartResult | types.ThreadResumeResult) -> None:
        super().__init__(owner)
        self.id = started.thread.id
        self.started = started
        """What the server said of it when it was started, resumed or forked."""
        self.lost: ThreadLost | None = None
        """Set if the server was lost and the thread could not be resumed."""
        self._owner = owner

    @overload
    async def run(
        self,
        input: Input,
        *,
        output_type: type[T],
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult[T]: ...
    @overload
    async def run(
        self,
        input: Input,
        *,
        output_schema: Mapping[str, object] | None = None,
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult: ...
    async def run(
        self,
        input: Input,
        *,
        output_type: type[Any] | None = None,
        output_schema: Mapping[str, object] | None = None,
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult[Any]:
        """Run a turn and return its result; see `AsyncTurn.run`. `output_type`: what the model's output is read as."""
        turn = await self._turn(input, output_type, output_schema, options)
        return await turn.run(timeout=timeout)

    async def stream(
        self,
        input: Input,
        *,
        output_schema: Mapping[str, object] | None = None,
        **options: Unpack[TurnOptions],
    ) -> AsyncIterator[Notification]:
        """Run a turn and yield what the server tells of it; see `AsyncTurn.stream`."""
        turn = await self._turn(input, None, output_schema, options)
        async for note in turn.stream():
            yield note

    @overload
    async def turn(self, input: Input, *, output_type: type[T], **options: Unpack[TurnOptions]) -> AsyncTurn[T]: ...
    @overload
    async def turn(
        self, input: Input, *, output_schema: Mapping[str, object] | None = None, **options: Unpack[TurnOptions]
    ) -> AsyncTurn: ...
    async def turn(
        self,
        input: Input,
        *,
        output_type: type[Any] | None = None,
        output_schema: Mapping[str, object] | None = None,
        **options: Unpack[TurnOptions],
    ) -> AsyncTurn[Any]:
        """Start a turn, or add input to the one that runs, and return it: to stream, steer, interrupt it."""
        return await self._turn(input, output_type, output_schema, options)

    async def _turn(
        self,
        input: Input,
        output_type: type[Any] | None,
        output_schema: Mapping[str, object] | None,
        options: Mapping[str, object],
    ) -> AsyncTurn[Any]:
        params: dict[str, object] = {
            "threadId": self.id,
            "input": wire_input(input),
            **self._named(TurnOptions, options),
        }
        if output_type is not None:
            output_schema = schema_of(output_type)
        if output_schema is not None:
            params["outputSchema"] = output_schema
        stream = TurnStream(self._owner.open_streams, self.id)
        stream.open()
        try:
            turn_id = await self._start({**params, "clientUserMessageId": str(uuid.uuid4())})
        except BaseException:
            stream.close()
            raise
        stream.started(turn_id)
        turn = AsyncTurn(self._owner, stream, self.id, turn_id, output_type)
        turn.keeps = self  # and so the functions behind its tools
        return turn

    async def _start(self, params: Mapping[str, object]) -> str:
        """Start a turn exactly once, and return its id: what a lost server had not taken yet is sent to the next."""
        for attempt in range(SENDINGS):
            if self.lost is not None:
                raise self.lost
            try:
                return (await self._call("turn/start", params, types.TurnStartResult)).turn.id
            except RequestLost as exc:
                if not self._owner.restarts or attempt == SENDINGS - 1:
                    raise
                turn_id = await self._turn_that_has(params["clientUserMessageId"])
                if turn_id is not None:
                    raise TurnLost(exc.message, self.id, turn_id) from None
        raise AssertionError  # the loop has returned or raised

    async def _turn_that_has(self, message_id: object) -> str | None:
        """Return the last turn if it has this message of the user's."""
        if self.lost is not None:
            return None
        page = await self.list_turns(limit=1, items_view="full")
        for turn in page.data:
            items = (item for item in turn.items if isinstance(item, types.UserMessageItem))
            if any(item.client_id == message_id for item in items):
                return turn.id
        return None


class AsyncThreads(AsyncThreadsMethods):
    """Starting, resuming and forking threads, and all else by their id. `server.threads`."""

    def __init__(self, owner: ThreadOwner) -> None:
        super().__init__(owner)
        self._owner = owner

    async def start(
        self, *, tools: Sequence[Tool[..., Any] | Mapping[str, Any]] = (), **options: Unpack[ThreadStartOptions]
    ) -> AsyncThread:
        """Start a conversation. `tools`: what the model may call in it, beside the client's own."""
        given = [*self._owner.toolbox.everywhere, *tools]
        params = {
            **self._named(ThreadStartOptions, options),
            **({"dynamicTools": definitions(given)} if given else {}),
        }
        return self._opened(await self._call("thread/start", params, types.ThreadStartResult), tools)

    async def resume(
        self, thread_id: str, *, tools: Sequence[Tool[..., Any]] = (), **options: Unpack[ThreadResumeOptions]
    ) -> AsyncThread:
        """Load a thread, so that turns can be run in it. `tools`: the functions behind those that it has."""
        params = {"threadId": thread_id, **self._named(ThreadResumeOptions, options)}
        return self._opened(await self._call("thread/resume", params, types.ThreadResumeResult), tools)

    async def fork(
        self, thread_id: str, *, tools: Sequence[Tool[..., Any]] = (), **options: Unpack[ThreadForkOptions]
    ) -> AsyncThread:
        """Make a new thread of a thread's turns. `tools`: the functions behind those of the thread."""
        params = {"threadId": thread_id, **self._named(ThreadForkOptions, options)}
        return self._opened(await self._call("thread/fork", params, types.ThreadStartResult), tools)

    def _opened(
        self,
        started: types.ThreadStartResult | types.ThreadResumeResult,
        tools: Sequence[Tool[..., Any] | Mapping[str, Any]],
    ) -> AsyncThread:
        thread = AsyncThread(self._owner, started)
        self._owner.open_threads[thread.id] = thread
        self._owner.toolbox.add(thread.id, [one for one in tools if not isinstance(one, Mapping)])
        weakref.finalize(thread, self._owner.toolbox.forget, thread.id)  # a turn that runs keeps its thread
        return thread
