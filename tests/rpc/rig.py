"""A dispatcher with routes of the test's own, and the lines it sends. No transport, and no event loop unless opened."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from appserver.rpc.client_calls import ClientCalls
from appserver.rpc.dispatcher import Dispatcher
from appserver.rpc.outbox import Outbox
from appserver.rpc.router import Reply, Router
from appserver.session import Session
from appserver.tasks import Tasks
from appserver.transport.framing import LineSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from appserver.rpc.router import Handler

BOUND = 10.0
"""What a test waits for anything."""

# Methods of the real table, since params are held against it: the first two take none, the third needs one.
INLINE = "account/read"
WAITING = "config/mcpServer/reload"
STRICT = "account/login/cancel"
LOGIN = "account/login/start"

Message = dict[str, Any]


class Rig:
    """Feed it messages, look at what it sent."""

    def __init__(self, routes: Mapping[str, Handler] | None = None, *, initialized: bool = True) -> None:
        self.sent: list[Any] = []
        self.warnings: list[str] = []
        self.gate = anyio.Event()
        """Holds every call of WAITING."""
        self.outbox = Outbox()
        self.tasks = Tasks()
        self.session = Session()
        if initialized:
            self.session.begin("tests", "1", frozenset())
        self.parent = ClientCalls(self.outbox, self.session)
        self.routes: dict[str, Handler] = {
            INLINE: lambda params: {"read": params},
            WAITING: self._wait,
            STRICT: lambda params: {"status": params["loginId"]},
            LOGIN: lambda params: {"type": params["type"]},
            **(routes or {}),
        }
        self.router = Router(self._initialize, lambda: self.routes, self.session)
        self.dispatcher = Dispatcher(self.router, self.parent, self.outbox, self.tasks, self.warnings.append)

    def feed(self, *messages: object) -> None:
        """Let messages come in, one per line."""
        for message in messages:
            self.feed_raw(json.dumps(message).encode())

    def feed_raw(self, data: bytes, max_line_bytes: int = 1024 * 1024) -> None:
        """Let bytes come in, as if the stream ended after them."""
        splitter = LineSplitter(max_line_bytes)
        for line in [*splitter.feed(data), *splitter.finish()]:
            self.dispatcher.receive(line)

    def taken(self) -> list[Any]:
        """Everything sent so far."""
        self.sent.extend(json.loads(line) for line in self.outbox.take().splitlines())
        return self.sent

    def only(self) -> Any:  # noqa: ANN401 - a message or a batch
        """Take the one line that was sent."""
        (message,) = self.taken()
        return message

    def ask(self, *messages: object) -> Any:  # noqa: ANN401 - a message or a batch
        """Feed messages and take the one line that answers them at once."""
        self.sent.clear()
        self.feed(*messages)
        return self.only()

    async def wait(self, wanted: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - a message or a batch
        """Wait until a message like this has been sent."""
        with anyio.fail_after(BOUND):
            while not any(map(wanted, self.taken())):
                assert await self.outbox.filled(), "the outbox was closed"
        return next(filter(wanted, self.sent))

    async def answer(self, request_id: object) -> Message:
        """Wait for the answer with this id."""
        found: Message = await self.wait(lambda one: isinstance(one, dict) and one.get("id") == request_id)
        return found

    async def batch(self) -> list[Message]:
        """Wait for a batch of answers."""
        found: list[Message] = await self.wait(lambda one: isinstance(one, list))
        return found

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        with anyio.fail_after(BOUND):
            await self.dispatcher.idle()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Give the tasks an event loop to run in; what still runs at the end is cancelled."""
        async with anyio.create_task_group() as group:
            self.tasks.open(group)
            yield
            group.cancel_scope.cancel()
        self.dispatcher.close()

    async def _wait(self, params: Message) -> Message:
        await self.gate.wait()
        return {"waited": params}

    def _initialize(self, params: object) -> Message:
        self.session.begin("tests", "1", frozenset())
        return {"hello": params}


def waiting(handler: Handler) -> Handler:
    """Make a handler that waits of one that does not."""

    async def handle(params: Message) -> object:
        return handler(params)

    return handle


def request(request_id: object, method: str = INLINE, params: object = None) -> Message:
    """Build a request."""
    return {"id": request_id, "method": method} | ({} if params is None else {"params": params})


def code(message: Message) -> int:
    """Read the error code of an answer."""
    found: int = message["error"]["code"]
    return found


__all__ = ["BOUND", "INLINE", "LOGIN", "STRICT", "WAITING", "Message", "Reply", "Rig", "code", "request", "waiting"]
