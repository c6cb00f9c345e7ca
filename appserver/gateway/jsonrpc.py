"""JSON-RPC over HTTP: one request or a batch in a POST, without a handshake; and both ways over a WebSocket.

Either is a connection like any other, in the workspace of the user whose key was shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from starlette.websockets import WebSocketDisconnect, WebSocketState

from appserver import __version__, json_text
from appserver.gateway.remote import PostConnection
from appserver.transport.base import Ending, TransportClosed
from protocol.envelope import error
from protocol.error_codes import INVALID_REQUEST

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from appserver.gateway.gateway import Gateway
    from appserver.gateway.users import Caller
    from appserver.transport.framing import Line

ANSWER_SECONDS = 120.0
"""What one POST may take. What takes longer, such as a turn, is started by a request and asked for by another."""

CLIENT_NAME = "gateway"
"""The name of clients that do not introduce themselves."""

STATUS = "conversation.status"
"""What older callers ask: `thread/read`, and less of its answer."""

CLOSES = {
    Ending.STOPPED: (1001, "the server ends"),
    Ending.TOO_SLOW: (1008, "too slow"),
    Ending.REVOKED: (1008, "access was revoked"),
    Ending.LEFT: (1000, ""),
}


class Ended(Exception):
    """The request was ended by us before it was answered."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.name)
        self.ending = ending


class Post:
    """One POST as a transport: its body comes in, and the first line that is no notification goes out."""

    def __init__(self, line: bytes) -> None:
        self.answer: bytes | None = None
        self._lines = [line]
        self._answered = anyio.Event()

    async def receive(self) -> list[Line] | None:
        if self._lines:
            return [self._lines.pop()]
        await self._answered.wait()
        return None

    async def send(self, data: bytes) -> None:
        for line in data.splitlines():
            if self.answer is None and not (
                line.startswith(b"{") and "method" in json_text.decode_stored(line.decode())
            ):
                self.answer = line
                self._answered.set()

    def peer_closed(self) -> bool:
        return False

    async def finish(self, ending: Ending) -> None:
        self._answered.set()

    def close(self) -> None:
        self._answered.set()


class WebSocketTransport:
    """A WebSocket as a transport: each message is a line."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> list[Line] | None:
        try:
            message = await self._websocket.receive()
        except (WebSocketDisconnect, RuntimeError):  # the latter: it was closed by us
            return None
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        return [text.encode("utf-8", "surrogatepass") if text is not None else message.get("bytes") or b""]

    async def send(self, data: bytes) -> None:
        try:
            for line in data.splitlines():
                await self._websocket.send_text(line.decode())
        except (WebSocketDisconnect, RuntimeError) as exc:
            raise TransportClosed from exc

    def peer_closed(self) -> bool:
        return self._websocket.client_state is WebSocketState.DISCONNECTED

    async def finish(self, ending: Ending) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED and not self.peer_closed():
            try:
                await self._websocket.close(*CLOSES[ending])
            except (WebSocketDisconnect, RuntimeError) as exc:
                raise TransportClosed from exc

    def close(self) -> None:
        pass  # the HTTP server does it when the application has returned


async def serve_websocket(gateway: Gateway, caller: Caller, websocket: WebSocket) -> None:
    """Serve a client until it leaves. It introduces itself as over any other transport."""
    await websocket.accept()
    connection = gateway.connection(caller)
    with gateway.served.request(caller, connection.stop_reading):
        await gateway.server.serve_one_of_many(connection, WebSocketTransport(websocket))


async def answer(gateway: Gateway, caller: Caller, document: object) -> bytes | None:
    """Return the response to one request or a batch, None where there is nothing to respond to.

    Raises TimeoutError after ANSWER_SECONDS, and Ended.
    """
    if not _expects_answer(document):
        return None
    asked = _older_requests(document)
    post = Post(json_text.encode(document).encode())
    connection = gateway.connection(caller, PostConnection)
    connection.session.begin(CLIENT_NAME, __version__, frozenset())
    ending: Ending | None = None

    def end(why: Ending) -> None:
        nonlocal ending
        ending = why
        scope.cancel()

    with anyio.CancelScope() as scope, anyio.fail_after(ANSWER_SECONDS), gateway.served.request(caller, end):
        await gateway.server.serve_one_of_many(connection, post)
    if ending is not None:
        raise Ended(ending)
    if post.answer is None or not asked:
        return post.answer
    return json_text.encode(_in_older_words(json_text.decode_stored(post.answer.decode()), asked)).encode()


async def respond(gateway: Gateway, user_id: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the response to a request that another node has forwarded (`forwarded.py`)."""
    caller = gateway.users.known(user_id)
    try:
        answered = None if caller is None else await answer(gateway, caller, request)
    except (Ended, TimeoutError):
        answered = None
    if answered is None:
        return refusal(INVALID_REQUEST, "the node that runs the turn serves the user no more")
    response: dict[str, Any] = json_text.decode_stored(answered.decode())
    return response


def refusal(code: int, message: str, data: object = None) -> dict[str, Any]:
    """Return the response to a request that was not read."""
    return {"jsonrpc": "2.0", **error(None, code, message, data)}


def _expects_answer(document: object) -> bool:
    """Whether there is a response: not to notifications alone."""
    entries = document if isinstance(document, list) and document else [document]
    return not all(isinstance(one, dict) and isinstance(one.get("method"), str) and "id" not in one for one in entries)


def _older_requests(document: object) -> list[object]:
    """Put `thread/read` in place of what older callers ask, and return the ids of these requests."""
    asked = []
    for one in document if isinstance(document, list) else [document]:
        if isinstance(one, dict) and one.get("method") == STATUS:
            params = one.get("params")
            members = params if isinstance(params, dict) else {}
            names = ("threadId", "conversationId", "thread_id", "conversation_id")
            found = next((members[name] for name in names if name in members), None)
            one["method"], one["params"] = "thread/read", {"threadId": found}
            asked.append(one.get("id"))
    return asked


def _in_older_words(response: Any, asked: list[object]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(response, list):
        return [_in_older_words(one, asked) for one in response]
    if response.get("id") not in asked or "result" not in response:
        return response
    thread = response["result"]["thread"]
    status = thread["status"]["type"]
    return {**response, "result": {"conversationId": thread["id"], "status": status, "thread": thread}}
