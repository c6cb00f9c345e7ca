"""One exchange: a request to the backend, and its answer to the client while it comes.

An error before the first token is a status, after it an error inside the stream. A client that leaves, and the end of
the server, cancel the request to the backend.
"""

from __future__ import annotations

import math
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from appserver import json_text
from appserver.errors import BackendError
from appserver.gateway.failures import Failure, failure_of, failure_of_ending
from appserver.gateway.parameters import for_chatgpt, refused, without
from appserver.llm.events import stream_cut
from appserver.log import log_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from appserver.gateway.dialects import Dialect
    from appserver.llm.authorized import Access
    from appserver.llm.client import EventStream
    from appserver.server.workspace import Workspace
    from appserver.session import Session
    from appserver.settings import Provider
    from appserver.transport.base import Ending

    Message = MutableMapping[str, Any]
    Count = Callable[[dict[str, Any] | None], Awaitable[None]]
    """Counts what the backend told of the tokens used. None: it did not tell."""

DROPPED = "x-gateway-dropped-params"

MAX_DROPPED = 1024
"""Characters of that header."""

COMMENT = b": keep-alive\n\n"

STOP_SECONDS = 10.0
"""What an answer that was cut at a stop sequence gets to tell what it has used."""

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would collect a stream
}


@dataclass(slots=True)
class Asked:
    """A request as the client has put it (`llm.client.Request`)."""

    provider: Provider
    session: Session
    asked: dict[str, Any]
    """The body that the client wants, in the words of the Responses API."""
    dropped: list[str]
    """What of the client's request is not sent, in the client's words."""
    name: Callable[[str], str | None]
    thread_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _refused: list[str] = field(default_factory=list)
    _untaken: list[str] = field(default_factory=list)

    def body(self, access: Access | None) -> dict[str, Any]:
        """Return the body, without what this backend does not take. Raises InvalidRequest."""
        body = {**self.asked, "stream": True}
        self._untaken = []
        if access is not None and access.is_chatgpt:
            body, self._untaken = for_chatgpt(body)
        return body

    async def open(self, workspace: Workspace) -> EventStream:
        """Send the request, and again without each optional parameter that the model turns out not to have.

        Raises BackendError, AuthError, ConfigError, InvalidRequest.
        """
        while True:
            try:
                return await workspace.backend.open(self)
            except BackendError as exc:
                name = refused(exc, self.asked)
                if name is None:
                    raise
                self.asked = without(self.asked, name)
                self._refused.append(name)

    @property
    def left_out(self) -> list[str]:
        """The client's names of all that was not sent."""
        names = [*self.dropped, *(self.name(one) or one for one in (*self._untaken, *self._refused))]
        return list(dict.fromkeys(names))


class Exchange:
    """Answers one HTTP request."""

    def __init__(
        self, asked: Asked, dialect: Dialect, workspace: Workspace, keepalive_seconds: float, count: Count
    ) -> None:
        self.asked = asked
        self.dialect = dialect
        self._workspace = workspace
        self._keepalive_seconds = keepalive_seconds
        self._count = count
        self._counted = False
        self._accepted = False
        self._started = False
        self._ended = False
        self._done = False
        self._last_sent = 0.0
        self._scope = anyio.CancelScope()
        self._interrupted: Failure | None = None

    def end(self, ending: Ending) -> None:
        """End it now, and tell the client why."""
        self._interrupted = failure_of_ending(ending)
        self._scope.cancel()

    async def run(self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        """Answer. The ASGI messages of the request have been read."""
        self._send = send
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, receive, group.cancel_scope)
            with self._scope:
                await self._answer()
            if self._interrupted is not None and not self._ended:
                await self._fail(self._interrupted)
            self._done = True
        await self._count_once()

    async def _watch(self, receive: Callable[[], Awaitable[Message]], scope: anyio.CancelScope) -> None:
        """Notice that the client has left, and end what is done for it. The end of the answer is told like that, too.

        Meanwhile send a comment whenever the stream has been silent: what stands in between must not take it for dead.
        """
        self._last_sent = time.monotonic()
        while True:
            with anyio.move_on_after(self._quiet_seconds):
                while (await receive())["type"] != "http.disconnect":
                    pass
                if not self._done:
                    scope.cancel()
                return
            if self._quiet_seconds <= 0:
                await self._write(self.dialect.begin() + COMMENT)

    @property
    def _quiet_seconds(self) -> float:
        """For how long nothing need be sent."""
        if self._ended or not self.dialect.stream:
            return math.inf
        return self._last_sent + self._keepalive_seconds - time.monotonic()

    async def _answer(self) -> None:
        try:
            await self._relay()
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the client is told
            told = failure_of(exc, time.time(), self.dialect.name)
            if told.code == "internal_error":
                log_exception("a request ended with an unexpected error", exc)
            await self._fail(told)

    async def _relay(self) -> None:
        """Pass on an answer, from the request to its last event."""
        stream = await self.asked.open(self._workspace)
        self._accepted = True
        try:
            with anyio.CancelScope() as patience:
                async with aclosing(stream.batches()) as batches:
                    async for batch in batches:
                        await self._pass_on(batch)
                        if self.dialect.complete:
                            break
                        if self.dialect.stopped:
                            patience.deadline = min(patience.deadline, anyio.current_time() + STOP_SECONDS)
        except BackendError:
            if not self.dialect.stopped:
                raise
        finally:
            await stream.close()
        if not (self.dialect.complete or self.dialect.stopped):
            raise stream_cut("the connection was closed")
        await self._finish()

    async def _count_once(self) -> None:
        """Count what was used. That comes before the end of the answer: the client's next request may follow at once.

        It is nothing where the backend refused the request, and not known where the backend did not tell.
        """
        if not self._counted:
            self._counted = True
            await self._count(self.dialect.usage or (None if self._accepted else {}))

    async def _pass_on(self, batch: list[dict[str, Any]]) -> None:
        """Take the events of one read, and send on what they say in one write."""
        pieces: list[bytes] = []
        try:
            for event in batch:
                pieces.append(self.dialect.take(event))
                if self.dialect.complete:
                    break
        finally:
            if told := b"".join(pieces):
                if self.dialect.complete:
                    await self._count_once()
                await self._write(told)

    async def _finish(self) -> None:
        await self._count_once()
        if self.dialect.stream:
            await self._write(self.dialect.end(), more=False)
        else:
            await self._whole(200, self.dialect.result(), {})

    async def _fail(self, told: Failure) -> None:
        """End with an error: a status if there is none yet."""
        await self._count_once()
        if self._started:
            await self._write(self.dialect.error(told), more=False)
        else:
            await self._whole(told.status, told.body, told.headers)

    async def _whole(self, status: int, document: dict[str, Any], headers: dict[str, str]) -> None:
        self._ended = True
        body = json_text.encode_utf8(document)
        told = {"content-type": "application/json", "content-length": str(len(body)), "cache-control": "no-store"}
        await self._start(status, {**told, **headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        if not self._started:
            await self._start(200, STREAM_HEADERS)
        self._last_sent = time.monotonic()
        self._ended = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        self._started = True
        left_out = self.asked.left_out
        named = {DROPPED: _header_safe(",".join(left_out))} if left_out else {}
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in {**headers, **named}.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


def _header_safe(text: str) -> str:
    """Replace what may not stand in a header field (RFC 9110, section 5.5): clients name parameters as they like."""
    return "".join(one if "!" <= one <= "~" else "_" for one in text)[:MAX_DROPPED]
