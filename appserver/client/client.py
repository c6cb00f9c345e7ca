"""The client's side, for applications that embed the daemon: start it, ask it, listen to it, end it.

Owns the daemon's process as long as its `async with` block lasts. Knows the handshake and how a turn ends; for all
other methods it carries params and results as they are (schema/ describes them).
"""

from __future__ import annotations

import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import anyio

from appserver.client import process
from appserver.client.connection import REQUEST_SECONDS, ServerConnection
from appserver.client.errors import ServerGone, TurnFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from anyio import CancelScope
    from anyio.abc import Process

    from appserver.client.connection import Handler
    from appserver.client.process import StrPath
    from appserver.client.streams import Notification, NotificationStream

HANDSHAKE_SECONDS: Final = 30.0
"""From starting the process to its first answer, on the slowest of machines."""

LAST_OUTPUT_SECONDS: Final = 2.0
"""For reading the last lines of a process that has ended. No more than a pipe holds is left of them."""

TURN_SECONDS: Final = 600.0
"""What `complete_turn` waits unless told otherwise."""

DEFAULT_CLIENT: Final = {"name": "appserver-client", "version": "1"}


class AppServer:
    """A running daemon. Any number of tasks may use it at once."""

    def __init__(self, connection: ServerConnection) -> None:
        self.info: dict[str, Any] = {}
        """What the server said of itself in the handshake: userAgent, codexHome, platformFamily, platformOs."""
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def spawn(
        cls,
        command: Sequence[str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: StrPath | None = None,
        stderr: int | IO[bytes] | None = None,
        client_info: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AppServer]:
        """Start a daemon and shake hands; end it when the block ends. Raises ServerGone if it cannot be started.

        `env`, `cwd`, `stderr` are those of `subprocess.Popen`: left out, the daemon inherits ours. `client_info` has
        name and version of your application; `capabilities` goes into the handshake as it is.
        """
        started = await process.start(command or default_command(), env, cwd, stderr)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            assert started.stdin is not None and started.stdout is not None  # noqa: S101, PT018 - pipes were asked for
            connection = ServerConnection(started.stdout, started.stdin, tasks)
            tasks.start_soon(connection.write)
            tasks.start_soon(_listen, connection, started)
            try:
                server = cls(connection)
                await server._shake_hands(dict(client_info or DEFAULT_CLIENT), dict(capabilities or {}))
                yield server
            except Exception as exc:  # noqa: BLE001 - raised below: the task group would wrap it in an ExceptionGroup
                failure = exc
            finally:
                connection.end_input()
                await process.end(started)
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def request(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result; `timeout` in seconds. Raises ServerError, ServerGone, TimeoutError."""
        return await self._connection.request(method, params, timeout=timeout)

    async def notify(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> None:
        """Send a notification; `timeout` in seconds. Raises ServerGone, or TimeoutError if the server does not read."""
        await self._connection.notify(method, params, timeout=timeout)

    def on_request(self, method: str, handler: Handler) -> None:
        """Answer the server's requests of this method: `handler` gets the params and returns the result.

        Each request runs in a task of its own. An exception becomes an error reply that carries its text; a method
        without a handler is answered with -32601.
        """
        self._connection.on_request(method, handler)

    def notifications(self, *methods: str, thread_id: str | None = None) -> NotificationStream:
        """Listen: `async with server.notifications("turn/completed") as stream: async for note in stream`.

        Without methods: to all. With `thread_id`: to those of one thread. A stream has what comes after it was
        entered, in order and complete; see `streams` for one that is not read.
        """
        return self._connection.notifications(*methods, thread_id=thread_id)

    async def run_turn(self, thread_id: str, text: str, **params: object) -> AsyncGenerator[Notification]:
        """Run a turn and yield the thread's notifications; the last is turn/completed, however the turn ended.

        `params` go with turn/start (model, effort, outputSchema). Leaving the loop early leaves the turn running:
        turn/interrupt ends it.
        """
        async with self.notifications(thread_id=thread_id) as stream:
            given = {"threadId": thread_id, "input": [{"type": "text", "text": text}], **params}
            turn_id = _member(await self.request("turn/start", given), "turn", "id")
            async for note in stream:
                yield note
                if note.method == "turn/completed" and _member(note.params, "turn", "id") == turn_id:
                    return

    async def complete_turn(self, thread_id: str, text: str, *, timeout: float = TURN_SECONDS, **params: object) -> str:
        """Run a turn and return what the model said last; `timeout` in seconds. Raises TurnFailed, TimeoutError."""
        said = ""
        with anyio.fail_after(timeout):
            async with aclosing(self.run_turn(thread_id, text, **params)) as events:
                async for method, told in events:
                    if method == "item/completed" and _member(told, "item", "type") == "agentMessage":
                        said = _member(told, "item", "text")
                    elif method == "turn/completed" and _member(told, "turn", "status") != "completed":
                        raise _turn_failed(told["turn"])
        return said

    async def _shake_hands(self, client_info: dict[str, str], capabilities: dict[str, Any]) -> None:
        params = {"clientInfo": client_info, "capabilities": capabilities}
        self.info = await self.request("initialize", params, timeout=HANDSHAKE_SECONDS)
        await self.notify("initialized")


def default_command() -> list[str]:
    """Return the command that starts the daemon of this installation, whatever the current directory holds."""
    return [sys.executable, "-P", str(Path(__file__).parents[1] / "__main__.py"), "app-server"]


async def _listen(connection: ServerConnection, started: Process) -> None:
    """Read to the end; then fail all requests that wait for a reply."""
    reason = "has ended"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_with, started, tasks.cancel_scope)
        reason = await connection.read()
        tasks.cancel_scope.cancel()
    connection.lose(await process.why_ended(started, reason))


async def _end_with(started: Process, reading: CancelScope) -> None:
    """Stop reading soon after the process has ended: a child of it may hold its output open."""
    await started.wait()
    await anyio.sleep(LAST_OUTPUT_SECONDS)
    reading.cancel()


def _member(value: Any, *names: str) -> Any:  # noqa: ANN401 - JSON
    """Return a nested member. Raises ServerGone if the server has left it out."""
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise ServerGone(f"The app-server does not speak the protocol: there is no {'.'.join(names)}")
        value = value[name]
    return value


def _turn_failed(turn: dict[str, Any]) -> TurnFailed:
    error = turn.get("error") or {}
    return TurnFailed(error.get("message") or f"The turn was {turn['status']}", turn)
