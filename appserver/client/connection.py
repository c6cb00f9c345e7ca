"""JSON-RPC as the client speaks it, over a link: requests out, replies, notifications and requests in.

The reader awaits nothing but lines: a reply wakes the caller of its request, a notification goes into buffers, and a
request of the server is answered in a task of its own. Lives as long as the
link; knows neither processes nor what any method means.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import anyio

from appserver.client.errors import RequestLost, ServerError, ServerGone
from appserver.errors import AppServerError
from appserver.rpc.pending import PendingRequests
from appserver.transport.base import TransportClosed
from appserver.transport.framing import Oversized
from protocol import envelope, error_codes
from protocol.envelope import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import TaskGroup

    from appserver.client.attachment import Link
    from protocol.envelope import Message, RequestId

    Handler = Callable[[dict[str, Any]], Awaitable[object]]

REQUEST_SECONDS: Final = 60.0
"""What a request waits unless told otherwise: longer than the server itself waits for an issuer."""

QUEUED_LINES: Final = 64
"""Lines that may wait for a server that is slow to read; beyond that, senders wait."""

_logger = logging.getLogger(__name__)


class ServerConnection:
    """One server on the other end of a link."""

    def __init__(
        self, link: Link, handlers: Mapping[str, Handler], tell: Callable[[str, dict[str, Any]], None]
    ) -> None:
        """`handlers`: what answers the server's requests, by method. `tell`: is called with each notification."""
        self._link = link
        self._handlers = handlers
        self._tell = tell
        # Whole lines go through one writer: a sender that is cancelled must not leave half a line behind.
        self._outgoing, self._lines = anyio.create_memory_object_stream[bytes](QUEUED_LINES)
        self._pending = PendingRequests(first_id=1)
        self._tasks: TaskGroup
        self._lost = anyio.Event()
        self.why_lost: str | None = None
        """Why the server sends no more, in one sentence; None while it may."""

    async def request(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result. Raises ServerError, ServerGone or TimeoutError."""
        pending = self._pending.add(method)
        try:
            with anyio.fail_after(timeout):
                await self._send({"id": pending.id, **_call(method, params)})
                await pending.wait()
        except TimeoutError:
            raise TimeoutError(f"{method}: no answer within {timeout:g}s") from None
        finally:
            self._pending.stop_waiting(pending)
        if pending.reply is None:
            raise RequestLost(self.why_lost or "The app-server has gone", method)
        if pending.reply.get("error") is not None:
            raise _server_error(pending.reply["error"])
        return pending.reply.get("result")

    async def notify(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> None:
        """Send a notification. Raises ServerGone or TimeoutError."""
        try:
            with anyio.fail_after(timeout):
                await self._send(_call(method, params))
        except TimeoutError:
            raise TimeoutError(f"{method}: not taken within {timeout:g}s") from None

    async def lost(self) -> None:
        """Wait until the server sends no more."""
        await self._lost.wait()

    def end_input(self) -> None:
        """Send nothing more: the server reads what is queued, and then the end of its input."""
        self._outgoing.close()

    async def run(self) -> None:
        """Read and write until the server sends no more, or we are cancelled; then fail everything that waits."""
        why = "The connection was closed"
        try:
            async with anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._write)
                why = await self._link.why_ended(await self._read())
                self._tasks.cancel_scope.cancel()
        finally:
            self._lose(why)

    async def _read(self) -> str:
        """Read until the server sends no more, and say why that is."""
        reason = "has ended"
        async with anyio.create_task_group() as reading:
            reading.start_soon(self._end_with_link, reading.cancel_scope)
            reason = await self._take_lines()
            reading.cancel_scope.cancel()
        return reason

    async def _take_lines(self) -> str:
        while (lines := await self._link.receive()) is not None:
            for line in lines:
                if isinstance(line, Oversized):
                    return f"sent a line of {line.size} bytes"
                self._take(line)
        return "has ended"

    async def _end_with_link(self, reading: anyio.CancelScope) -> None:
        await self._link.run()
        reading.cancel()

    async def _write(self) -> None:
        """Write what is sent until `end_input`, then close the server's input."""
        try:
            with self._lines:
                async for line in self._lines:
                    await self._link.send(line)
        except TransportClosed:
            pass  # `_read` finds the end of the server too, and what it says knows the exit code
        finally:
            await self._link.end_input()

    def _lose(self, why: str) -> None:
        """Fail everything that waits, and everything that is asked for from now on."""
        self.why_lost = why
        self._outgoing.close()
        self._pending.close()
        self._lost.set()

    # Messages

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        match envelope.classify(message) if isinstance(message, dict) else Kind.INVALID:
            case Kind.RESPONSE:
                self._pending.resolve(message)  # a reply that comes too late finds no request
            case Kind.NOTIFICATION:
                self._tell(message["method"], _params(message))
            case Kind.REQUEST:
                self._tasks.start_soon(self._answer, message)
            case Kind.INVALID:
                _logger.warning("passed over a line of %d bytes that is no message", len(line))  # may hold anything

    async def _answer(self, request: Message) -> None:
        reply = await self._reply(request["id"], request["method"], _params(request))
        try:
            line = _line(reply)
        except (TypeError, ValueError):
            _logger.exception("the answer to %s is not JSON", request["method"])
            line = _line(envelope.error(request["id"], error_codes.INTERNAL_ERROR, "The answer is not JSON"))
        try:
            await self._send_line(line)
        except ServerGone:
            _logger.warning("the app-server was gone before %s was answered", request["method"])

    async def _reply(self, request_id: RequestId, method: str, params: dict[str, Any]) -> Message:
        handler = self._handlers.get(method)
        if handler is None:
            text = f"Method not found: {method}"
            return envelope.error(request_id, error_codes.METHOD_NOT_FOUND, text)
        try:
            return envelope.result(request_id, await handler(params))
        except ServerError as exc:
            return envelope.error(request_id, exc.code, exc.message, exc.data)
        except AppServerError as exc:
            return envelope.error(request_id, error_codes.INTERNAL_ERROR, exc.message)
        except Exception as exc:
            _logger.exception("the handler of %s failed", method)
            # Its words go to the server, and from there into the error of the turn that needed the answer.
            text = str(exc) or type(exc).__name__
            return envelope.error(request_id, error_codes.INTERNAL_ERROR, text)

    async def _send(self, message: Message) -> None:
        await self._send_line(_line(message))

    async def _send_line(self, line: bytes) -> None:
        try:
            await self._outgoing.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ServerGone(self.why_lost or "The app-server takes no more input") from None


def _call(method: str, params: object) -> Message:
    return {"method": method} if params is None else {"method": method, "params": params}


def _params(message: Message) -> dict[str, Any]:
    """Return the params by name; the protocol has no others."""
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _line(message: Message) -> bytes:
    try:
        return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
    except RecursionError:
        raise ValueError("nested too deeply for JSON") from None


def _server_error(error: object) -> ServerError:
    """Read an error, however it is shaped."""
    if not isinstance(error, dict):
        return ServerError(error_codes.INTERNAL_ERROR, str(error))
    code, message = error.get("code"), error.get("message")
    known = code if isinstance(code, int) else error_codes.INTERNAL_ERROR
    return ServerError(known, str(message or "no message"), error.get("data"))
