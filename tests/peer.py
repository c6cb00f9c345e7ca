"""The client's side of a connection, for tests: sends, waits with a bound, and remembers everything it was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio

from appserver.rpc.pending import PendingRequests
from appserver.server.serve import Server
from appserver.transport.framing import LineSplitter, Oversized
from appserver.transport.memory import MemoryListener, memory_pair
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from anyio.abc import Process, TaskGroup

    from appserver.rpc.pending import PendingRequest
    from appserver.server.workspace import Workspace
    from appserver.settings import Settings
    from appserver.telemetry import Telemetry
    from appserver.transport.framing import Line
    from appserver.transport.memory import MemoryTransport

WAIT_SECONDS = 20.0
"""What a test waits for anything: long enough for a loaded machine, and the end of a test that would hang."""

Message = dict[str, Any]


class Peer:
    """Talks to a server. `messages` holds everything it sent, in order; `batches` what came in one array."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self.messages: list[Message] = []
        self.batches: list[list[Message]] = []
        self.posted: list[PendingRequest] = []
        """Every request that was sent with `post` or `call`, in order."""
        self.closed = False
        self.process: Process | None = None
        self.responders: dict[str, Callable[[Message], Message | None]] = {}
        """method -> function from the params of a server's request to {"result"|"error": ...}, None: no answer."""
        self._send = send
        self._pending = PendingRequests(first_id=1)
        self._news = anyio.Event()

    @property
    def notifications(self) -> list[Message]:
        """The notifications so far."""
        return [message for message in self.messages if "method" in message and "id" not in message]

    @property
    def requests(self) -> list[Message]:
        """The server's requests so far."""
        return [message for message in self.messages if "method" in message and "id" in message]

    @property
    def methods(self) -> list[str]:
        """The methods of the notifications so far."""
        return [message["method"] for message in self.notifications]

    async def send(self, message: object) -> None:
        """Send one JSON message."""
        await self.send_raw(json.dumps(message).encode() + b"\n")

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self._send(data)

    async def post(self, method: str, params: object = None) -> int:
        """Send a request and return its id."""
        return (await self._post(method, params)).id

    async def _post(self, method: str, params: object) -> PendingRequest:
        pending = self._pending.add(method)
        self.posted.append(pending)
        await self.send({"id": pending.id, "method": method} | ({} if params is None else {"params": params}))
        return pending

    async def call(self, method: str, params: object = None) -> Message:
        """Send a request and return its whole response."""
        pending = await self._post(method, params)
        with anyio.fail_after(WAIT_SECONDS):
            response = await pending.wait()
        assert response is not None, f"the server closed the connection; it had sent {self.messages}"
        return response

    async def result(self, method: str, params: object = None) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result; an error fails the test."""
        response = await self.call(method, params)
        assert "result" in response, response
        return response["result"]

    async def error(self, method: str, params: object = None) -> Message:
        """Send a request and return its error; a result fails the test."""
        response = await self.call(method, params)
        assert "error" in response, response
        error: Message = response["error"]
        return error

    async def response(self, request_id: int | None) -> Message:
        """Wait for the response with this id."""
        return await self.wait(lambda message: "method" not in message and message.get("id") == request_id)

    async def notification(self, method: str, after: int = 0, **members: object) -> Any:  # noqa: ANN401 - its params
        """Wait for a notification, from message number `after` on, whose params have these members."""

        def wanted(message: Message) -> bool:
            params = message.get("params") or {}
            return (
                message.get("method") == method
                and "id" not in message
                and all(params.get(name) == value for name, value in members.items())
            )

        return (await self.wait(wanted, after))["params"]

    async def request(self, method: str, count: int = 1) -> Message:
        """Wait for the count-th request of the server with this method."""
        await self.until(lambda: sum(message["method"] == method for message in self.requests) >= count)
        return [message for message in self.requests if message["method"] == method][count - 1]

    async def wait(self, wanted: Callable[[Message], bool], after: int = 0) -> Message:
        """Wait for a message, from message number `after` on."""
        await self.until(lambda: any(wanted(message) for message in self.messages[after:]))
        return next(message for message in self.messages[after:] if wanted(message))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what has arrived holds."""
        with anyio.fail_after(WAIT_SECONDS):
            while not condition():
                assert not self.closed, f"the server closed the connection; it had sent {self.messages}"
                await self._news.wait()

    async def ended(self) -> None:
        """Wait until the server has closed its output."""
        with anyio.fail_after(WAIT_SECONDS):
            while not self.closed:
                await self._news.wait()

    async def initialize(self, name: str = "tests", **capabilities: object) -> Message:
        """Shake hands."""
        params = {"clientInfo": {"name": name, "version": "1"}, "capabilities": capabilities}
        result: Message = await self.result("initialize", params)
        await self.send({"method": "initialized"})
        return result

    async def login_with_tokens(self, access_token: str, **members: object) -> None:
        """Sign in with external tokens."""
        await self.result("account/login/start", {"type": "chatgptAuthTokens", "accessToken": access_token, **members})

    async def start_thread(self, **params: object) -> str:
        """Start a thread and return its id."""
        thread_id: str = (await self.result("thread/start", params))["thread"]["id"]
        return thread_id

    async def start_turn(self, thread_id: str, text: str = "Hello", **params: object) -> str:
        """Start a turn and return its id."""
        given = {"threadId": thread_id, "input": [{"type": "text", "text": text}], **params}
        turn_id: str = (await self.result("turn/start", given))["turn"]["id"]
        return turn_id

    async def finished_turn(self, turn_id: str) -> Message:
        """Wait for a turn to end and return it."""
        done = await self.wait(
            lambda message: message.get("method") == "turn/completed" and message["params"]["turn"]["id"] == turn_id
        )
        turn: Message = done["params"]["turn"]
        return turn

    async def turn(self, thread_id: str, text: str = "Hello", **params: object) -> Message:
        """Run a turn to its end and return it."""
        return await self.finished_turn(await self.start_turn(thread_id, text, **params))

    async def take(self, line: bytes) -> None:
        """Take a line from the server."""
        message = json.loads(line, parse_constant=_refuse_constant)
        if isinstance(message, list):
            self.batches.append(message)
            self.messages += message
        else:
            self.messages.append(message)
            if "method" not in message:
                self._pending.resolve(message)
        self._tell()
        if isinstance(message, dict) and "method" in message and "id" in message:
            respond = self.responders.get(message["method"])
            if respond is not None and (answer := respond(message.get("params") or {})) is not None:
                await self.send({"id": message["id"], **answer})

    def forget(self) -> None:
        """Forget all messages and requests so far."""
        self.messages.clear()
        self.batches.clear()
        self.posted.clear()

    def close(self) -> None:
        """Note that the server has closed its output."""
        self.closed = True
        self._pending.close()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


def _refuse_constant(name: str) -> object:
    raise AssertionError(f"the server sent {name}, which is not JSON")


class ClientEnd(Protocol):
    """The client's end of a transport."""

    async def receive(self) -> list[Line] | None: ...

    async def send(self, data: bytes) -> None: ...


P = TypeVar("P", bound=Peer)


@asynccontextmanager
async def in_memory(
    settings: Settings, *, initialize: bool = True, telemetry: Telemetry | None = None
) -> AsyncIterator[Peer]:
    """Serve a connection in this process and connect a peer to it."""
    ours, theirs = memory_pair()

    async def serve() -> None:
        server = Server(settings, telemetry)
        await server.serve(server.connection(bounded=False), theirs)
        theirs.close()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            async with reading(ours) as peer:
                if initialize:
                    await peer.initialize()
                yield peer
                ours.close_sending()
                await peer.ended()
    finally:
        ours.close()
        theirs.close()


class House:
    """A running server that any number of peers can connect to, each to a workspace."""

    def __init__(self, server: Server, group: TaskGroup) -> None:
        self.server = server
        self._group = group
        self._listeners: dict[Workspace, MemoryListener] = {}

    @asynccontextmanager
    async def client(self, name: str | None = "tests", workspace: Workspace | None = None) -> AsyncIterator[Peer]:
        """Connect a peer, to the home directory's workspace unless another is given. It leaves at the end.

        `name`: under which it introduces itself; None: it does not.
        """
        ours = self.connect(workspace)
        try:
            async with reading(ours) as peer:
                if name is not None:
                    await peer.initialize(name)
                yield peer
                ours.close_sending()
                await peer.ended()
        finally:
            ours.close()

    def connect(self, workspace: Workspace | None = None) -> MemoryTransport:
        """Connect a client and return its end."""
        workspace = workspace or self.server.home
        if workspace not in self._listeners:
            listener = self._listeners[workspace] = MemoryListener()
            self._group.start_soon(self.server.accept, listener, workspace)
        return self._listeners[workspace].connect()

    def close(self) -> None:
        """Accept no more peers."""
        for listener in self._listeners.values():
            listener.close()


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[House]:
    """Keep a server running in this process."""
    server = Server(settings)
    async with server.running(), anyio.create_task_group() as group:
        running = House(server, group)
        yield running
        running.close()


@asynccontextmanager
async def reading(transport: ClientEnd) -> AsyncIterator[Peer]:
    """Be the client on one end of a transport."""
    peer = Peer(transport.send)

    async def read() -> None:
        while (lines := await transport.receive()) is not None:
            for line in lines:
                assert not isinstance(line, Oversized)
                await peer.take(line)
        peer.close()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        yield peer


@asynccontextmanager
async def process_peer(command: Sequence[str], environ: Mapping[str, str], kind: type[P]) -> AsyncIterator[P]:
    """Start a program that speaks JSON-RPC on its stdio, and connect a peer of this kind to it."""
    process = await anyio.open_process(command, env={**os.environ, **environ}, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    peer = kind(process.stdin.send)
    peer.process = process
    output, splitter = process.stdout, LineSplitter()

    async def read() -> None:
        async for chunk in output:
            for line in splitter.feed(chunk):
                assert not isinstance(line, Oversized)
                await peer.take(line)
        peer.close()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            yield peer
            await process.stdin.aclose()
            with anyio.fail_after(WAIT_SECONDS):
                await process.wait()
            group.cancel_scope.cancel()
    finally:
        await kill(process)


@asynccontextmanager
async def subprocess_peer(
    environ: Mapping[str, str], overrides: Sequence[str] = (), *, initialize: bool = True
) -> AsyncIterator[Peer]:
    """Start the program as a client would, with pipes, and connect a peer to it."""
    options = [word for override in overrides for word in ("-c", override)]
    command = [sys.executable, "-m", "appserver", *options, "app-server", "--listen", "stdio://"]
    async with process_peer(command, environ, Peer) as peer:
        if initialize:
            await peer.initialize()
        yield peer
